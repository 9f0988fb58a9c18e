"""LiteLLM's callback with LiteLLM's own mock completions: plain, streamed, failed and aborted."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import litellm
import pytest

from tallystick.litellm import TallystickCallback, callback

ARGUMENTS: dict[str, Any] = {
    "model": "gpt-4o", "messages": [{"role": "user", "content": "QZXMARKED prompt"}],
    "mock_response": "QZXMARKED answer of some words",
}  # fmt: skip
Recorded = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def recorder(client: Any, monkeypatch: pytest.MonkeyPatch) -> TallystickCallback:
    """The callback of the module, since LiteLLM never forgets one, with the client of this test."""
    litellm.callbacks = [callback]
    monkeypatch.setattr(callback, "_own_client", client)
    return callback


def await_calls(recorder: TallystickCallback, recorded: Recorded, count: int) -> list[dict[str, Any]]:
    """Wait until LiteLLM's threads have called back."""
    for _ in range(50):
        if len(events := recorded()) >= count:
            return events
        time.sleep(0.1)
    return recorded()


def test_the_module_has_the_callback_that_a_configuration_names() -> None:
    from litellm.integrations.custom_logger import CustomLogger

    assert isinstance(callback, CustomLogger)


def test_synchronous_calls(recorder: TallystickCallback, recorded: Recorded) -> None:
    metadata = {"tallystick.team": "search", "tallystick.tags.region": "eu", "tags": ["env:prod"]}
    litellm.completion(**ARGUMENTS, metadata=metadata, user="ann")
    list(litellm.completion(**ARGUMENTS, stream=True, metadata=metadata))
    first, second = await_calls(recorder, recorded, 2)
    for data in (first, second):
        assert (data["provider"], data["model"], data["team"], data["status"]) == ("openai", "gpt-4o", "search", "ok")
        assert data["tags"] == {"env": "prod", "region": "eu"} and data["usage_source"] == "reported"
        assert sum(data["tokens"].values()) == data["reported_tokens"]["total"] > 0
        assert data["ingress"] == "gateway" and data["claimed_currency"] == "USD"
    assert first["customer"].startswith("p_")


def test_asynchronous_calls_are_recorded_once(recorder: TallystickCallback, recorded: Recorded) -> None:
    async def run() -> None:
        await litellm.acompletion(**ARGUMENTS)
        async for _ in await litellm.acompletion(**ARGUMENTS, stream=True):
            pass
        await asyncio.sleep(1)

    asyncio.run(run())
    events = await_calls(recorder, recorded, 2)
    assert len(events) == 2 and all(data["usage_source"] == "reported" for data in events)


def test_streams_that_their_reader_leaves_are_aborted(recorder: TallystickCallback, recorded: Recorded) -> None:
    async def run() -> None:
        stream = await litellm.acompletion(**ARGUMENTS, stream=True, metadata={"tallystick.team": "left"})
        async for _ in stream:
            break
        await stream.aclose()
        await asyncio.sleep(0.5)

    asyncio.run(run())
    for _ in litellm.completion(**ARGUMENTS, stream=True, metadata={"tallystick.team": "left"}):
        break
    time.sleep(0.5)
    assert recorded() == []
    recorder.record_aborted()
    recorder.record_aborted()
    events = recorded()
    assert len(events) == 2
    assert all(
        (data["status"], data["usage_source"], data["team"]) == ("aborted", "missing", "left") for data in events
    )


def test_failures_have_a_code_and_no_text(recorder: TallystickCallback, recorded: Recorded) -> None:
    async def run() -> None:
        with pytest.raises(Exception, match="QZXMARKED"):
            await litellm.acompletion(**ARGUMENTS | {"mock_response": Exception("QZXMARKED")})
        await asyncio.sleep(0.5)

    asyncio.run(run())
    with pytest.raises(litellm.RateLimitError):
        litellm.completion(**ARGUMENTS | {"mock_response": "litellm.RateLimitError"})
    first, second = await_calls(recorder, recorded, 2)
    assert (first["status"], first["usage_source"]) == ("error", "missing")
    assert (second["status"], second["error_code"]) == ("error", "RateLimitError")


def test_responses_are_read_too(client: Any, recorded: Recorded) -> None:
    client.record(model="gpt-4o", usage=litellm.completion(**ARGUMENTS))
    stream = litellm.completion(**ARGUMENTS, stream=True, stream_options={"include_usage": True})
    client.record(model="gpt-4o", usage=list(stream))
    first, second = recorded()
    assert first["tokens"] == {"input": 10, "output": 20} and second["usage_source"] == "reported"
