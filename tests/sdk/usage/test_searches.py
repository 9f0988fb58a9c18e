"""Searches of the web that stand in an answer, beside its usage: the rule, over any answer of the documented shapes."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.pricing.genai_prices import genai_prices
from tallystick.gateways.litellm_payload import read_payload
from tallystick.usage.reader import merge_chunks, read_fields

RESPONSE_USAGE = {
    "input_tokens": 10, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 5,
    "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 15,
}  # fmt: skip
GEMINI_USAGE = {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15}
ACTIONS = st.sampled_from(["search", "open_page", "find_in_page", "a_new_action", None])
CALLS = st.lists(st.tuples(ACTIONS, st.sampled_from(["completed", "searching", "failed"])), max_size=6)


def build_item(place: int, action: str | None, status: str) -> dict[str, Any]:
    item: dict[str, Any] = {"type": "web_search_call", "id": f"ws_{place}", "status": status}
    return item if action is None else item | {"action": {"type": action, "query": "secret words"}}


def count(payload: object, model: str | None = None) -> int:
    fields = read_fields(payload, model=model)
    assert fields is not None and "secret" not in json.dumps(fields)
    return int(fields.get("quantities", {}).get("web_searches", 0))


@given(calls=CALLS, has_output=st.booleans())
def test_each_search_of_a_response_counts_and_no_opened_page_does(
    calls: list[tuple[str | None, str]], has_output: bool
) -> None:
    items = [build_item(place, *call) for place, call in enumerate(calls)]
    output = [{"type": "reasoning", "id": "rs_0"}, *items, {"type": "function_call", "name": "web_search"}]
    expected = sum(action in ("search", None) and status != "failed" for action, status in calls)
    response = {"id": "resp_1", "model": "gpt-5", "output": output, "usage": RESPONSE_USAGE}
    assert count(response) == expected
    assert count({"id": "batch_req_1", "response": {"status_code": 200, "body": response}}) == expected
    assert count({"type": "response.completed", "response": response}) == expected
    events: list[Any] = [{"type": "response.created", "response": {**response, "output": [], "usage": None}}]
    for place, item in enumerate(items):
        started = {"type": "web_search_call", "id": item["id"], "status": "in_progress"}
        events.append({"type": "response.output_item.added", "output_index": place, "item": started})
        events.append({"type": "response.output_item.done", "output_index": place, "item": item})
    last = {"type": "response.completed", "response": response if has_output else {**response, "output": []}}
    assert count([*events, last]) == expected
    assert "secret" not in repr(merge_chunks([*events, last]))


@given(first=CALLS, second=CALLS, has_output=st.booleans())
def test_searches_of_several_streams_are_added(
    first: list[tuple[str | None, str]], second: list[tuple[str | None, str]], has_output: bool
) -> None:
    chunks: list[Any] = []
    for number, calls in enumerate((first, second)):
        items = [build_item(10 * number + place, *call) for place, call in enumerate(calls)]
        chunks += [{"type": "response.output_item.done", "output_index": 0, "item": item} for item in items]
        response = {"id": f"resp_{number}", "model": "gpt-5", "output": items if has_output else []}
        chunks.append({"type": "response.completed", "response": {**response, "usage": RESPONSE_USAGE}})
    expected = sum(action in ("search", None) and status != "failed" for action, status in first + second)
    assert count(chunks) == expected


@given(queries=st.lists(st.sampled_from(["secret a", "secret b", " secret a ", "", " "])), has_chunks=st.booleans())
def test_gemini_3_is_charged_each_query_once_and_older_ones_a_grounded_prompt(
    queries: list[str], has_chunks: bool
) -> None:
    metadata: dict[str, Any] = {"webSearchQueries": queries}
    if has_chunks:
        metadata["groundingChunks"] = [{"retrievedContext": {"uri": "x"}}, {"web": {"uri": "https://example.com"}}]
    each = len({query.strip() for query in queries} - {""}) or int(has_chunks)
    for model, expected in (("gemini-3-flash-preview", each), ("gemini-2.5-flash", min(each, 1))):
        answer = {"candidates": [{"groundingMetadata": metadata}], "usageMetadata": GEMINI_USAGE}
        assert count({**answer, "modelVersion": model}) == expected
        assert count(answer, model) == expected
        assert count({"key": "1", "response": {**answer, "modelVersion": model}}) == expected
        parts = [{"candidates": [{"groundingMetadata": {"webSearchQueries": [query]}}]} for query in queries]
        assert count([*parts, {**answer, "modelVersion": model}]) == expected


@pytest.mark.parametrize(("model", "searches"), [("gemini-3-pro", 5), ("gemini-2.5-flash", 1)])
@pytest.mark.parametrize("other", ["google_maps", "retrieval", "a_new_tool", None])
def test_an_interaction_counts_its_searches_and_no_other_grounding(
    model: str, searches: int, other: str | None
) -> None:
    tools = [{"type": "google_search", "count": 2}, {"type": "google_search", "count": 3}]
    usage = {"total_input_tokens": 10, "total_output_tokens": 20, "total_tokens": 30, "grounding_tool_count": tools}
    fields = read_fields({"model": model, "usage": usage})
    assert fields and fields["usage_source"] == "reported" and fields["quantities"] == {"web_searches": searches}
    tools.append({"type": other, "count": 1} if other else {"count": 1})
    fields = read_fields({"model": model, "usage": usage})
    assert fields and fields["usage_source"] == "unknown" and fields["quantities"] == {"web_searches": searches}


def test_the_catalogue_charges_by_prompt_where_a_prompt_is_counted() -> None:
    """Of Google's own models the rate is 35 dollars a thousand grounded prompts, and 14 a thousand queries."""
    google = next(provider for provider in genai_prices().providers if provider.id == "google")
    rates = {model.id: model.prices[-1].rates.get("web_searches") for model in google.models}
    rates = {model: rate for model, rate in rates.items() if rate is not None and model.startswith("gemini-")}
    metadata = {"webSearchQueries": ["a", "b", "c"]}
    answer = {"candidates": [{"groundingMetadata": metadata}], "usageMetadata": GEMINI_USAGE}
    counts = {model: count({**answer, "modelVersion": model}) for model in rates}
    assert counts == {model: {Decimal(35): 1, Decimal(14): 3}[Decimal(str(rate))] for model, rate in rates.items()}
    assert len(rates) > 10


@pytest.mark.parametrize(
    ("model", "searches"),
    [
        ("gpt-4o-search-preview", 1), ("gpt-4o-mini-search-preview-2025-03-11", 1), ("gpt-5-search-api", 1),
        ("gpt-5-search-api-2025-10-14", 1), ("openai/gpt-4o-search-preview", 1), ("gpt-4o", 0), ("sonar-pro", 0),
        ("gpt-research", 0), ("o3-deep-research", 0),
    ],
)  # fmt: skip
def test_a_search_model_of_chat_completions_searches_once_an_answer(model: str, searches: int) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    assert count({"model": model, "usage": usage}) == searches
    assert count(usage, model) == searches
    assert count({"model": model, "usage": usage | {"prompt_tokens_details": {"web_search_requests": 4}}}) == 4


def test_searches_are_kept_where_the_tokens_are_unknown() -> None:
    usage = {**RESPONSE_USAGE, "new_audio_tokens": 7}
    output = [build_item(1, "search", "completed")]
    fields = read_fields({"id": "resp_1", "model": "gpt-5", "output": output, "usage": usage})
    assert fields and fields["usage_source"] == "unknown" and fields["quantities"] == {"web_searches": 1}


def test_litellm_hands_on_the_output_of_a_response() -> None:
    output = [build_item(1, "search", "completed"), build_item(2, "open_page", "completed")]
    payload = {
        "id": "1", "call_type": "aresponses", "status": "success", "model": "gpt-5", "model_group": "gpt-5",
        "metadata": {"usage_object": RESPONSE_USAGE}, "response": {"output": output, "usage": RESPONSE_USAGE},
    }  # fmt: skip
    assert read_payload(payload)["quantities"] == {"web_searches": 1}


@pytest.mark.parametrize(("answered", "asked", "searches"), [("3-flash", "2.5-pro", 3), ("2.5-pro", "3-flash", 1)])
def test_the_model_that_answered_decides_whether_a_prompt_is_charged_once(
    answered: str, asked: str, searches: int
) -> None:
    metadata = {"webSearchQueries": ["a", "b", "c"]}
    answer = {"candidates": [{"groundingMetadata": metadata}], "usageMetadata": GEMINI_USAGE}
    assert count({**answer, "modelVersion": f"gemini-{answered}"}, f"gemini-{asked}") == searches


@pytest.mark.parametrize(
    ("tools", "source", "searches"),
    [
        ({"web_search_calls": 0}, "reported", 0), ({"web_search_calls": 3}, "reported", 3),
        ({"web_search_calls": 3, "x_search_calls": 1}, "unknown", 3),
        ({"a_new_tool_calls": 1}, "unknown", 1), (None, "unknown", 1),
    ],
)  # fmt: skip
def test_xai_counts_its_searches_and_no_other_tool(tools: dict[str, int] | None, source: str, searches: int) -> None:
    calls = sum(tools.values()) if tools else 1
    usage = RESPONSE_USAGE | {
        "num_server_side_tools_used": calls, "server_side_tool_usage_details": tools,
        "context_details": {"input_tokens": 4, "output_tokens": 6},
    }  # fmt: skip
    output = [build_item(1, "search", "completed"), build_item(2, "open_page", "completed")]
    fields = read_fields({"model": "grok-4", "output": output, "usage": usage})
    assert fields and fields["usage_source"] == source
    assert fields.get("quantities", {}).get("web_searches", 0) == searches


@given(calls=CALLS, other=st.booleans())
def test_searches_of_a_stream_that_was_left_are_kept(calls: list[tuple[str | None, str]], other: bool) -> None:
    items = [build_item(place, *call) for place, call in enumerate(calls)]
    expected = sum(action in ("search", None) and status != "failed" for action, status in calls)
    begun: dict[str, Any] = {"id": "resp_1", "model": "gpt-5", "output": [], "usage": None}
    chunks: list[Any] = [{"type": "response.created", "response": begun}]
    chunks += [{"type": "response.output_item.done", "output_index": 0, "item": item} for item in items]
    kept = {"usage_source": "missing", "quantities": {"web_searches": expected}, "model_resolved": "gpt-5"}
    assert read_fields(chunks) == (kept if expected else None)
    failed = {"type": "response.failed", "response": begun | {"output": items}}
    assert read_fields(failed) == (kept if expected else None)
    if other and expected:
        last = {"id": "resp_2", "model": "gpt-5", "output": [], "usage": RESPONSE_USAGE}
        fields = read_fields([failed, {"type": "response.completed", "response": last}])
        assert fields and fields["usage_source"] == "unknown" and fields["quantities"] == {"web_searches": expected}


def test_grounding_of_a_stream_that_was_left_is_kept() -> None:
    chunk = {"responseId": "r", "candidates": [{"groundingMetadata": {"webSearchQueries": ["secret a", "b"]}}]}
    for model, searches in (("gemini-3-flash", 2), ("gemini-2.5-flash", 1)):
        fields = read_fields([chunk | {"modelVersion": model}])
        assert fields == {
            "usage_source": "missing", "quantities": {"web_searches": searches}, "model_resolved": model,
        }  # fmt: skip


@pytest.mark.parametrize(
    ("requested", "executed", "source"), [(2, 2, "reported"), (2, 1, "reported"), (0, 0, "reported"), (3, 3, "unknown")]
)
def test_calls_of_openrouters_tools_that_are_searches_count_once(requested: int, executed: int, source: str) -> None:
    tools = {"web_search_requests": 2, "tool_calls_requested": requested, "tool_calls_executed": executed}
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "server_tool_use": tools}
    fields = read_fields({"model": "openai/gpt-5", "usage": usage})
    assert fields and fields["usage_source"] == source and fields["quantities"] == {"web_searches": 2}


@pytest.mark.parametrize(("model", "searches"), [("gemini-3-flash", 3), ("gemini-2.5-flash", 1), ("gpt-5", 3)])
def test_queries_that_litellm_counts_are_charged_as_the_model_is(model: str, searches: int) -> None:
    details = {"web_search_requests": 3}
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "prompt_tokens_details": details}
    assert count({"model": model, "usage": usage}) == searches
    assert count({"usage": usage}, f"gemini/{model}") == searches


def test_litellm_keeps_the_searches_of_an_answer_without_usage() -> None:
    usage = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
    payload = {
        "id": "1", "call_type": "aresponses", "status": "success", "model": "gpt-5", "model_group": "gpt-5",
        "metadata": {"usage_object": usage}, "response": {"output": [build_item(1, "search", "completed")]},
    }  # fmt: skip
    fields = read_payload(payload)
    assert fields["usage_source"] == "missing" and fields["quantities"] == {"web_searches": 1}


@pytest.mark.parametrize("responses", [1, 2])
def test_a_call_counts_once_where_its_events_name_it_otherwise(responses: int) -> None:
    chunks: list[Any] = []
    for number in range(responses):
        item, other = build_item(number, "search", "completed"), build_item(50 + number, "search", "completed")
        response = {"id": f"resp_{number}", "model": "gpt-5", "output": [item], "usage": RESPONSE_USAGE}
        chunks.append({"type": "response.output_item.done", "output_index": 0, "item": other})
        chunks.append({"type": "response.completed", "response": response})
    assert count(chunks) == responses
