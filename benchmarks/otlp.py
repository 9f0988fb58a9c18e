"""The cost of a call as a span of OTLP, against the cost of the same call as our own event, at the intake.

``python -m benchmarks.otlp [CALLS]``. In turns, several times, in this process: events of a request are accepted from
their bytes; spans of a request are read from protobuf, selected, built into events and accepted. What follows, framing
and appending, is the same for both and left out.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable

from ingest.intake.intake import Intake
from ingest.intake.rejection import Rejection
from ingest.spans import otlp_protobuf
from ingest.spans.calls import build_events, select_calls

ROUNDS = 7
SPANS_PER_REQUEST = 500
START_NS = 1_780_315_200_000_000_000
PROMPT_LENGTH = 2_000


def main(calls: int = 5_000) -> None:
    """Measure, and print processor time for each call."""
    intake = Intake("0" * 64)
    requests = [_build_request(start, SPANS_PER_REQUEST) for start in range(0, calls, SPANS_PER_REQUEST)]
    events = [line for request in requests for line in _to_lines(request)]

    def accept_events() -> None:
        for line in events:
            intake.accept(line)

    def accept_spans() -> None:
        for request in requests:
            for event in build_events(select_calls(list(otlp_protobuf.read_spans(request))), {}):
                assert not isinstance(event, Rejection)
                intake.accept_event(event)

    times: list[tuple[float, float]] = [(_measure(accept_events), _measure(accept_spans)) for _ in range(ROUNDS)]
    event_us, span_us = (statistics.median(column) / len(events) * 1e6 for column in zip(*times, strict=True))
    ratio = statistics.median(span_s / event_s for event_s, span_s in times)
    size = sum(map(len, requests)) // len(events)
    event_size = sum(map(len, events)) // len(events)
    print(f"event of {event_size} bytes: {event_us:.1f} us; span of {size} bytes: {span_us:.1f} us")
    print(f"span / event: {ratio:.2f} (aim: 2)")


def _measure(work: Callable[[], None]) -> float:
    start_s = time.process_time()
    work()
    return time.process_time() - start_s


def _to_lines(request: bytes) -> list[bytes]:
    """Return the events of a request's spans, as an application would send them itself."""
    return [
        json.dumps(event).encode() for event in build_events(select_calls(list(otlp_protobuf.read_spans(request))), {})
    ]


def _build_request(start: int, count: int) -> bytes:
    spans = b"".join(_encode(2, _build_span(number)) for number in range(start, start + count))
    resource = _encode(1, _encode_attribute("service.name", "search-api"))
    return _encode(1, _encode(1, resource) + _encode(2, spans))


def _build_span(number: int) -> bytes:
    """Build the span of a call as OpenTelemetry's instrumentations write it, with its prompt and its answer."""
    attributes: dict[str, str | int] = {
        "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o",
        "gen_ai.response.model": "gpt-4o-2024-08-06", "gen_ai.response.id": f"chatcmpl-{number:024}",
        "gen_ai.usage.input_tokens": 1200 + number % 500, "gen_ai.usage.output_tokens": 80,
        "gen_ai.usage.cache_read.input_tokens": 300, "server.address": "api.openai.com", "server.port": 443,
        "gen_ai.request.max_tokens": 1000, "gen_ai.request.temperature": 1,
        "gen_ai.conversation.id": f"s-{number % 50}",
        "gen_ai.input.messages": "x" * PROMPT_LENGTH, "gen_ai.output.messages": "x" * (PROMPT_LENGTH // 4),
        "thread.id": 7, "code.function.name": "answer", "tallystick.team": "search",
    }  # fmt: skip
    times = b"\x39" + START_NS.to_bytes(8, "little") + b"\x41" + (START_NS + 10**9).to_bytes(8, "little")
    ids = _encode(1, number.to_bytes(16, "big")) + _encode(2, (number + 1).to_bytes(8, "big"))
    return (
        ids
        + _encode(5, b"chat gpt-4o")
        + times
        + b"".join(_encode(9, _encode_pair(*pair)) for pair in attributes.items())
    )


def _encode_attribute(name: str, value: str | int) -> bytes:
    return _encode(1, _encode_pair(name, value))


def _encode_pair(name: str, value: str | int) -> bytes:
    encoded = _encode(1, value.encode()) if isinstance(value, str) else b"\x18" + _encode_varint(value)
    return _encode(1, name.encode()) + _encode(2, encoded)


def _encode(field: int, content: bytes) -> bytes:
    return _encode_varint(field << 3 | 2) + _encode_varint(len(content)) + content


def _encode_varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
