"""LiteLLM's StandardLoggingPayload, as ``litellm/types/utils.py`` of BerriAI/litellm 1.106 defines it."""

import json
from typing import Any

import pytest

from tallystick import Inference
from tallystick.gateways.litellm_payload import identify_payload, is_call, read_payload
from tallystick.litellm import TallystickCallback
from tallystick.vocabulary.fitting import fit_fields

KEY: dict[str, Any] = {
    "user_api_key_hash": "88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b", "user_api_key_alias": "ci",
    "user_api_key_team_id": "search", "user_api_key_team_alias": "Search", "user_api_key_org_id": "acme",
    "user_api_key_user_id": "ann", "user_api_key_user_email": "CONTENT@example.com", "user_api_key_project_id": "p-1",
    "requester_metadata": {"tallystick.feature": "answers", "question": "CONTENT"},
    "requester_custom_headers": {"x-tallystick-variant": "b", "x-other": "CONTENT"},
    "usage_object": {
        "prompt_tokens": 10500, "completion_tokens": 400, "total_tokens": 10900, "cache_creation_input_tokens": 1000,
        "cache_read_input_tokens": 9000, "prompt_tokens_details": {"cached_tokens": 9000,
    "cache_creation_tokens": 1000},
    },
}  # fmt: skip
PAYLOAD: dict[str, Any] = {
    "id": "chatcmpl-1", "litellm_call_id": "call-1", "trace_id": "t-1", "session_id": "s-1", "call_type": "acompletion",
    "stream": True, "status": "success", "custom_llm_provider": "bedrock", "api_base": "https://bedrock",
    "startTime": 1780315200.25, "endTime": 1780315201.5, "completionStartTime": 1780315200.5, "response_cost": 0.01395,
    "model": "bedrock/anthropic.claude-sonnet-4-5-20250929-v1:0", "model_group": "claude", "model_id": "deployment-1",
    "metadata": KEY, "cache_hit": False, "request_tags": ["env:prod", "beta", "tallystick.purpose:evaluation"],
    "end_user": "customer-1", "messages": [{"role": "user", "content": "CONTENT"}],
    "response": {"model": "claude", "choices": ["CONTENT"]}, "model_parameters": {"max_tokens": 1000,
    "tools": ["CONTENT"]}, "hidden_params": {},
    "prompt_tokens": 10500, "completion_tokens": 400, "total_tokens": 10900, "error_str": None,
    "error_information": {"error_code": "", "error_class": "", "error_message": ""},
}  # fmt: skip


def read(**changes: Any) -> dict[str, Any]:
    fields = fit_fields(read_payload(PAYLOAD | changes)).fields
    Inference.model_validate(fields)
    assert "CONTENT" not in json.dumps(fields)
    return fields


def test_a_payload_fills_the_fields() -> None:
    expected = {
        "provider": "aws", "model": "claude", "model_resolved": "anthropic.claude-sonnet-4-5-20250929-v1:0",
        "deployment": "deployment-1", "operation": "chat", "team": "search",
        "project": "p-1", "user": "ann", "customer": "customer-1", "session": "s-1", "root_call": "t-1",
        "feature": "answers", "variant": "b", "purpose": "evaluation", "status": "ok", "latency_ms": 1250,
        "time_to_first_token_ms": 250, "max_tokens": 1000, "claimed_cost": "0.01395", "claimed_currency": "USD",
        "tags": {"beta": "true", "env": "prod", "key_alias": "ci", "organization": "acme"}, "gateway": "litellm",
        "tokens": {"input": 500, "cache_read": 9000, "cache_write": 1000, "output": 400}, "usage_source": "reported",
    }  # fmt: skip
    fields = read()
    assert fields | expected == fields
    assert fields["key"].startswith("fp_")


def test_tags_of_headers_join_the_others_and_none_is_lost_in_silence() -> None:
    headers = {"x-tallystick-tags-region": "eu", "x-tallystick-variant": "b"}
    fields = read(metadata=KEY | {"requester_custom_headers": headers}, request_tags=["env:prod"])
    assert fields["tags"] == {"env": "prod", "key_alias": "ci", "organization": "acme", "region": "eu"}
    many = read(request_tags=[f"t{number:02}:x" for number in range(40)])
    assert len(many["tags"]) == 32 and many["left_out"] == ["tags"]


@pytest.mark.parametrize("time", [float("inf"), float("nan"), True, "now", None])
def test_a_time_that_is_none_costs_no_call(time: object) -> None:
    fields = read(startTime=time, endTime=time, completionStartTime=time)
    assert fields["tokens"] and "latency_ms" not in fields and "time_to_first_token_ms" not in fields


def test_hits_failures_and_disconnected_clients() -> None:
    assert read(cache_hit=True)["response_cache"] == "hit"
    error = {"error_code": "429", "error_class": "RateLimitError", "error_message": "CONTENT"}
    failed = read(status="failure", error_information=error, metadata=KEY | {"usage_object": {}}, prompt_tokens=0,
                  completion_tokens=0, total_tokens=0, response={}, response_cost=0.0)  # fmt: skip
    assert (failed["status"], failed["error_code"], failed["usage_source"]) == ("error", "RateLimitError", "missing")
    assert "claimed_cost" not in failed
    assert read(error_information={"error_code": "499", "error_class": "ClientDisconnected"})["status"] == "aborted"
    totals = read(metadata={})
    assert totals["tokens"] == {"input": 10500, "output": 400}


def test_identities_differ_where_calls_do() -> None:
    identities = [
        identify_payload(PAYLOAD), identify_payload(PAYLOAD | {"litellm_call_id": "call-2"}),  # a cached answer
        identify_payload(PAYLOAD | {"status": "failure"}),
        identify_payload(PAYLOAD | {"status": "failure", "startTime": 1780315202.0}),
    ]  # fmt: skip
    assert len(set(identities)) == 4 and None not in identities
    assert identify_payload({}) is None
    assert is_call(PAYLOAD) and not is_call({"call_type": "call_mcp_tool"})


@pytest.mark.parametrize("kwargs", [None, {}, {"standard_logging_object": 7}, {"standard_logging_object": PAYLOAD}, 7])
def test_the_callback_never_raises(kwargs: Any) -> None:
    class Broken:
        def _record(self, id: str, fields: dict[str, Any]) -> None:
            raise RuntimeError

    callback = TallystickCallback(Broken())  # type: ignore[arg-type]
    callback.log_pre_api_call("gpt-4o", [], kwargs)
    callback.log_success_event(kwargs=kwargs, response_obj=None, start_time=None, end_time=None)
    callback.log_failure_event(kwargs=kwargs, response_obj=None, start_time=None, end_time=None)
    callback.record_aborted()


def test_a_call_is_recorded_once() -> None:
    ids: list[str] = []

    class Client:
        def _record(self, id: str, fields: dict[str, Any]) -> None:
            ids.append(id)

    callback = TallystickCallback(Client())  # type: ignore[arg-type]
    kwargs = {"standard_logging_object": PAYLOAD, "litellm_call_id": "call-1", "call_type": "acompletion"}
    callback.log_pre_api_call("gpt-4o", [], kwargs)
    for _ in range(2):
        callback.log_success_event(kwargs, None, None, None)
    callback.record_aborted()
    assert ids == ["call-1:chatcmpl-1"]
    callback.log_pre_api_call("gpt-4o", [], kwargs | {"litellm_call_id": "call-2"})
    callback.record_aborted(min_age_s=60)
    assert len(ids) == 1
    callback.record_aborted()
    assert ids[1:] == ["call-2/aborted"]


@pytest.mark.parametrize("block", [
    {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
    {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0, "prompt_tokens_details": {"cached_tokens": 0}},
    {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0, "input_tokens_details": {"image_tokens": 0}},
    None,
])  # fmt: skip
def test_zeros_are_a_missing_usage_and_no_free_call(block: dict[str, Any] | None) -> None:
    fields = read(metadata={"usage_object": block}, response={}, prompt_tokens=0, completion_tokens=0, total_tokens=0)
    assert fields["usage_source"] == "missing" and "tokens" not in fields


@pytest.mark.parametrize("cost", [float("nan"), float("inf"), -1.0, "abc", None, True, 10**40])
def test_a_cost_that_is_no_amount_costs_no_call(cost: object) -> None:
    fields = read(response_cost=cost)
    assert fields["tokens"] and "claimed_cost" not in fields
