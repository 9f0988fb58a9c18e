"""Streams: a call takes the usage of its chunks as they pass, whole, in parts, and left before the end."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tallystick.client.call_tree import Call
from tests.sdk.usage.golden_payloads import GOLDEN, Golden

STREAMS = [golden for golden in GOLDEN if isinstance(golden.payload, list)]
each_stream = pytest.mark.parametrize("golden", STREAMS, ids=lambda golden: f"{golden.form}-{golden.name}")
CHUNKS = next(golden for golden in STREAMS if golden.form == "openai_chat" and golden.name == "stream").payload


class Recorder:
    """A client that keeps the fields of calls instead of sending them."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self._ids = itertools.count(1)

    def _new_id(self) -> str:
        return str(next(self._ids))

    def _record(self, id: str, fields: dict[str, Any]) -> str | None:
        self.calls.append(fields)
        return id


def record_chunks(golden: Golden, *parts: Any) -> dict[str, Any]:
    recorder = Recorder()
    with Call(recorder, {"model": golden.model} if golden.model else {}) as call:
        for part in parts:
            call.usage(part)
    (fields,) = recorder.calls
    return fields


@each_stream
def test_every_chunk_a_list_and_parts_of_it_give_the_same(golden: Golden) -> None:
    chunks = golden.payload
    for fields in (
        record_chunks(golden, *chunks),
        record_chunks(golden, chunks),
        record_chunks(golden, chunks[:1], *chunks[1:], None, {}, {"choices": []}),
    ):
        assert fields["usage_source"] == golden.expected["usage_source"]
        assert fields.get("tokens") == golden.expected.get("tokens")
        assert fields.get("quantities") == golden.expected.get("quantities")
        assert fields.get("model_resolved") == golden.expected.get("model_resolved")


def test_a_chunk_without_usage_takes_nothing_away() -> None:
    recorder = Recorder()
    with Call(recorder, {}) as call:
        call.usage({"usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}, "model": "m"})
        call.usage({"choices": [], "usage": None})
        call.usage(object())
    assert recorder.calls[0]["tokens"] == {"input": 3, "output": 1}
    assert recorder.calls[0]["model_resolved"] == "m"


def test_a_stream_that_is_watched_is_recorded_at_its_end() -> None:
    recorder = Recorder()
    assert list(Call(recorder, {"model": "m"}).watch(iter(CHUNKS))) == CHUNKS
    (fields,) = recorder.calls
    assert fields["tokens"] == {"input": 19, "output": 10} and fields["status"] == "ok"


def test_a_stream_that_is_left_early_is_aborted_with_the_usage_so_far() -> None:
    recorder = Recorder()
    stream = Call(recorder, {}).watch(CHUNKS)
    for _ in itertools.islice(stream, 2):
        pass
    stream.close()
    with Call(recorder, {}) as call:
        for _ in call.watch(CHUNKS):
            break
    left_alone, left_within = recorder.calls
    assert left_alone["status"] == left_within["status"] == "aborted"
    assert left_alone["tokens"] == {"input": 19, "output": 10} and left_within["usage_source"] == "missing"


def test_a_stream_that_breaks_is_an_error_of_its_call() -> None:
    def break_off() -> Iterator[Any]:
        yield from CHUNKS[:2]
        raise ConnectionError

    recorder = Recorder()
    with pytest.raises(ConnectionError):
        list(Call(recorder, {}).watch(break_off()))
    assert (recorder.calls[0]["status"], recorder.calls[0]["error_code"]) == ("error", "ConnectionError")
    assert recorder.calls[0]["tokens"] == {"input": 19, "output": 10}


def test_an_asynchronous_stream_is_watched_alike() -> None:
    async def stream() -> AsyncIterator[Any]:
        for chunk in CHUNKS:
            yield chunk

    async def read(recorder: Recorder, *, whole: bool) -> None:
        with Call(recorder, {}) as call:
            async for _ in call.watch(stream()):
                if not whole:
                    break

    recorder = Recorder()
    asyncio.run(read(recorder, whole=True))
    asyncio.run(read(recorder, whole=False))
    assert [fields["status"] for fields in recorder.calls] == ["ok", "aborted"]
    assert recorder.calls[0]["tokens"] == {"input": 19, "output": 10}


def test_a_decorated_function_may_return_all_chunks() -> None:
    recorder = Recorder()

    @Call(recorder, {"feature": "f"})
    def collect() -> Any:
        return CHUNKS

    @Call(recorder, {"feature": "g"})
    def answer() -> dict[str, Any]:
        return {"model": "not a model", "text": "…"}

    collect()
    answer()
    assert recorder.calls[0]["tokens"] == {"input": 19, "output": 10}
    assert recorder.calls[1]["usage_source"] == "missing" and "model_resolved" not in recorder.calls[1]


def test_a_snapshot_that_was_asked_for_is_not_lost_to_a_vaguer_answer() -> None:
    recorder = Recorder()
    for answered in ("gpt-4", "gpt-4-1106-preview", "gpt-4o"):
        with Call(recorder, {"model": "gpt-4-1106-preview"}) as call:
            call.usage({"model": answered, "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}})
    assert [fields.get("model_resolved") for fields in recorder.calls] == [None, "gpt-4-1106-preview", "gpt-4o"]
