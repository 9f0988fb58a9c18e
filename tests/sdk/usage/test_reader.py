"""What providers' responses say of their usage, in our classes."""

from types import SimpleNamespace
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from tallystick import Inference, TokenClass
from tallystick.usage.reader import read_fields

CHAT: dict[str, Any] = {
    "model": "gpt-4o-2024-08-06", "service_tier": "default",
    "choices": [{"message": {"content": "an answer"}}],
    "usage": {
        "prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150,
        "prompt_tokens_details": {
            "cached_tokens": 40, "cache_write_tokens": 10, "audio_tokens": 5, "text_tokens": 45,
        },
        "completion_tokens_details": {
            "reasoning_tokens": 20, "audio_tokens": 3, "accepted_prediction_tokens": 1, "rejected_prediction_tokens": 2,
        },
    },
}  # fmt: skip
RESPONSES = {
    "model": "gpt-5", "service_tier": "flex",
    "usage": {
        "input_tokens": 100, "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10},
        "output_tokens": 30, "output_tokens_details": {"reasoning_tokens": 25}, "total_tokens": 130,
    },
}  # fmt: skip
ANTHROPIC = {
    "model": "claude-sonnet-4-5", "content": [{"type": "text", "text": "an answer"}],
    "usage": {
        "input_tokens": 10, "cache_creation_input_tokens": 30, "cache_read_input_tokens": 500, "output_tokens": 70,
        "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 10},
        "output_tokens_details": {"thinking_tokens": 30}, "server_tool_use": {"web_search_requests": 2},
        "iterations": [{"input_tokens": 10, "output_tokens": 70}], "service_tier": "standard", "inference_geo": "us",
    },
}  # fmt: skip
GEMINI = {
    "modelVersion": "gemini-2.5-pro",
    "usageMetadata": {
        "promptTokenCount": 100, "cachedContentTokenCount": 60, "candidatesTokenCount": 20, "thoughtsTokenCount": 30,
        "toolUsePromptTokenCount": 7, "totalTokenCount": 157, "trafficType": "ON_DEMAND",
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 80}, {"modality": "AUDIO", "tokenCount": 20}],
        "cacheTokensDetails": [{"modality": "TEXT", "tokenCount": 55}, {"modality": "AUDIO", "tokenCount": 5}],
        "candidatesTokensDetails": [{"modality": "TEXT", "tokenCount": 20}],
    },
}  # fmt: skip
BEDROCK = {
    "output": {"message": {"content": [{"text": "an answer"}]}}, "stopReason": "end_turn",
    "usage": {
        "inputTokens": 4, "outputTokens": 115, "totalTokens": 1574, "cacheReadInputTokens": 1255,
        "cacheReadInputTokenCount": 1255, "cacheWriteInputTokens": 200, "cacheWriteInputTokenCount": 200,
        "cacheDetails": [{"ttl": "1h", "inputTokens": 150}, {"ttl": "5m", "inputTokens": 50}],
    },
}  # fmt: skip

CASES: list[tuple[dict[str, Any], dict[str, int], dict[str, int]]] = [
    (
        CHAT,
        {
            "cache_read": 40, "cache_write": 10, "input_audio": 5, "input": 45, "reasoning": 20, "output_audio": 3,
            "output": 27,
        },
        {"input": 100, "output": 50, "total": 150},
    ),
    (
        RESPONSES,
        {"cache_read": 60, "cache_write": 10, "input": 30, "reasoning": 25, "output": 5},
        {"input": 100, "output": 30, "total": 130},
    ),
    (
        ANTHROPIC,
        {"cache_write_5m": 20, "cache_write_1h": 10, "reasoning": 30, "input": 10, "cache_read": 500, "output": 40},
        {"input": 540, "output": 70},
    ),
    (
        GEMINI,
        {"cache_read": 55, "cache_read_audio": 5, "input": 32, "input_audio": 15, "output": 20, "reasoning": 30},
        {"input": 107, "output": 50, "total": 157},
    ),
    (
        BEDROCK,
        {"cache_write_1h": 150, "cache_write_5m": 50, "cache_read": 1255, "input": 4, "output": 115},
        {"input": 1459, "output": 115, "total": 1574},
    ),
]  # fmt: skip
NAMES = ["chat", "responses", "anthropic", "gemini", "bedrock"]


@pytest.mark.parametrize(("response", "tokens", "totals"), CASES, ids=NAMES)
def test_each_class_and_the_providers_totals(
    response: dict[str, Any], tokens: dict[str, int], totals: dict[str, int]
) -> None:
    fields = read_fields(response)
    assert fields and fields["tokens"] == tokens and fields["reported_tokens"] == totals
    inference = Inference.model_validate(fields)
    assert "answer" not in inference.canonical().decode()
    assert sum(tokens.values()) == totals.get("total", totals["input"] + totals["output"])


class Plain(BaseModel):
    """As the providers' clients have them."""

    model_config = {"extra": "allow"}


@pytest.mark.parametrize("response", [CHAT, RESPONSES, ANTHROPIC, GEMINI, BEDROCK], ids=NAMES)
def test_the_clients_objects_and_the_block_alone_say_the_same(response: dict[str, Any]) -> None:
    block = next(response[name] for name in ("usage", "usageMetadata") if name in response)
    expected = read_fields(response)
    assert expected and read_fields(Plain.model_validate(response)) == expected
    assert read_fields(SimpleNamespace(**response)) == expected
    alone = read_fields(block)
    assert alone and alone["tokens"] == expected["tokens"] and alone["provider_usage"] == expected["provider_usage"]


def test_the_names_of_geminis_python_client_are_read_too() -> None:
    usage = {"prompt_token_count": 9, "candidates_token_count": 4, "thoughts_token_count": 2, "total_token_count": 15}
    fields = read_fields({"usage_metadata": usage, "model_version": "gemini-3"})
    assert fields and fields["tokens"] == {"input": 9, "output": 4, "reasoning": 2}
    assert fields["model_resolved"] == "gemini-3"


def test_lifetimes_that_are_not_said_are_the_general_class() -> None:
    fields = read_fields({"input_tokens": 1, "cache_creation_input_tokens": 9, "output_tokens": 1})
    assert fields and fields["tokens"] == {"cache_write": 9, "input": 1, "output": 1}


@pytest.mark.parametrize("name", ["num_cached_tokens", "prompt_cache_hit_tokens"])
def test_hosts_that_answer_in_openais_form_name_the_cache_their_way(name: str) -> None:
    fields = read_fields(
        {"usage": {"prompt_tokens": 10, name: 4, "completion_tokens": 1, "prompt_tokens_details": None}}
    )
    assert fields and fields["tokens"] == {"cache_read": 4, "input": 6, "output": 1}


def test_counts_that_hide_in_a_total_alone_are_unknown() -> None:
    fields = read_fields({"usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 40}})
    assert fields and fields["usage_source"] == "unknown" and "tokens" not in fields
    assert fields["reported_tokens"] == {"input": 10, "output": 5, "total": 40}


@pytest.mark.parametrize("response", [None, "text", 5, [], {}, {"usage": None}, {"usage": {"cost": 1}}, object()])
def test_what_says_nothing_of_usage_is_none(response: object) -> None:
    assert read_fields(response) is None


COUNT = st.integers(0, 10**6)


@given(parts=st.fixed_dictionaries(dict.fromkeys(("plain", "read", "write", "audio", "out", "thought"), COUNT)))
def test_classes_sum_to_the_totals_whoever_says_them(parts: dict[str, int]) -> None:
    plain, read, write, visible, thoughts = (parts[name] for name in ("plain", "read", "write", "out", "thought"))
    input, output = plain + read + write, visible + thoughts
    usage: list[dict[str, Any]] = [
        {
            "prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output,
            "prompt_tokens_details": {"cached_tokens": read, "cache_write_tokens": write},
            "completion_tokens_details": {"reasoning_tokens": thoughts},
        },
        {
            "input_tokens": plain, "cache_read_input_tokens": read, "cache_creation_input_tokens": write,
            "output_tokens": output, "output_tokens_details": {"thinking_tokens": thoughts},
        },
        {
            "promptTokenCount": plain + read, "cachedContentTokenCount": read, "candidatesTokenCount": visible,
            "toolUsePromptTokenCount": write, "thoughtsTokenCount": thoughts, "totalTokenCount": input + output,
        },
        {
            "inputTokens": plain, "cacheReadInputTokens": read, "cacheWriteInputTokens": write, "outputTokens": output,
            "totalTokens": input + output,
        },
    ]  # fmt: skip
    for block in usage:
        fields = read_fields(block)
        assert fields and fields["tokens"].keys() <= set(get_args(TokenClass))
        assert sum(fields["tokens"].values()) == input + output, block
        assert fields["tokens"].get("cache_read", 0) == read
        assert (fields["reported_tokens"]["input"], fields["reported_tokens"]["output"]) == (input, output)


@pytest.mark.parametrize("value", [2, "2", [2], [{"web_search_requests": 2}], ["x", 2]])
@pytest.mark.parametrize("is_list", [False, True])
def test_counts_in_another_shape_than_the_documented_one_are_never_nothing(value: object, is_list: bool) -> None:
    if is_list:
        value = {"type": "google_search", "count": 2} if isinstance(value, list) else value
        usage = {"total_input_tokens": 10, "total_output_tokens": 5, "grounding_tool_count": value}
    else:
        usage = {"input_tokens": 10, "output_tokens": 5, "server_tool_use": value}
    fields = read_fields({"usage": usage})
    assert fields and fields["usage_source"] == "unknown" and "tokens" not in fields
