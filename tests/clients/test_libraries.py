"""Usage as LangChain and pydantic-ai hand it on."""

from collections.abc import Callable
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk
from pydantic_ai import Agent
from pydantic_ai.models.test import TestModel
from pydantic_ai.usage import RequestUsage

USAGE: Any = {
    "input_tokens": 10500, "output_tokens": 400, "total_tokens": 10900,
    "input_token_details": {"cache_read": 9000, "cache_creation": 1000}, "output_token_details": {"reasoning": 100},
}  # fmt: skip
TOKENS = {"input": 500, "cache_read": 9000, "cache_write": 1000, "output": 300, "reasoning": 100}
Recorded = Callable[[], list[dict[str, Any]]]


def test_langchain_messages_and_chunks(client: Any, recorded: Recorded) -> None:
    model = {"model_name": "claude-sonnet-4-5-20250929"}
    client.record(usage=AIMessage("QZXMARKED", usage_metadata=USAGE, response_metadata=model))
    chunks = [
        AIMessageChunk("QZXMARKED", usage_metadata={
            "input_tokens": 10500, "output_tokens": 0, "total_tokens": 10500,
            "input_token_details": {"cache_read": 9000, "cache_creation": 1000}}),
        AIMessageChunk("QZXMARKED"),
        AIMessageChunk("", usage_metadata={
            "input_tokens": 0, "output_tokens": 400, "total_tokens": 400, "output_token_details": {"reasoning": 100}}),
    ]  # fmt: skip
    client.record(usage=chunks)
    client.record(usage=chunks[0] + chunks[1] + chunks[2])
    events = recorded()
    assert [data["tokens"] for data in events] == [TOKENS] * 3
    assert events[0]["model_resolved"] == "claude-sonnet-4-5-20250929"


def test_pydantic_ai_runs_and_usage(client: Any, recorded: Recorded) -> None:
    result = Agent(TestModel(custom_output_text="QZXMARKED")).run_sync("QZXMARKED prompt")
    client.record(model="test", usage=result)
    client.record(model="test", usage=RequestUsage(
        input_tokens=10500, cache_read_tokens=9000, cache_write_tokens=1000, output_tokens=400))  # fmt: skip
    first, second = recorded()
    usage = result.usage() if callable(result.usage) else result.usage
    assert first["tokens"] == {"input": usage.input_tokens, "output": usage.output_tokens}
    assert second["tokens"] == {"input": 500, "cache_read": 9000, "cache_write": 1000, "output": 400}
