"""Reading usage in the caller's thread, by processor time, against writing and parsing the same response as JSON.

``python -m benchmarks.usage [REPETITIONS]``. The best of seven rounds each, in one run: responses of three providers,
a chunk of a stream that has no usage, and fitting the fields of a call to the vocabulary.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

from tallystick.usage.reader import merge_chunks, read_fields
from tallystick.vocabulary.fitting import fit_fields

ROUNDS = 7
CHAT: dict[str, Any] = {
    "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-4o-2024-08-06",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "…"}, "finish_reason": "stop"}],
    "usage": {
        "prompt_tokens": 1200, "completion_tokens": 80, "total_tokens": 1280,
        "prompt_tokens_details": {"cached_tokens": 300, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0, "accepted_prediction_tokens": 0},
    },
}  # fmt: skip
MESSAGE: dict[str, Any] = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "content": [],
    "usage": {
        "input_tokens": 10, "cache_creation_input_tokens": 800, "cache_read_input_tokens": 15_000,
        "cache_creation": {"ephemeral_5m_input_tokens": 800, "ephemeral_1h_input_tokens": 0},
        "output_tokens": 300, "service_tier": "standard",
    },
}  # fmt: skip
CONVERSE: dict[str, Any] = {"output": {}, "usage": {"inputTokens": 10, "outputTokens": 20, "totalTokens": 30}}
CHUNK = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "…"}}
FIELDS = {"model": "gpt-4o", "provider": "openai", "team": "search", "feature": "answers", "session": "s-1"}


def main(repetitions: int = 1_000) -> None:
    """Measure each, and print it beside JSON."""
    merged = merge_chunks([CHUNK])
    fields = FIELDS | (read_fields(CHAT) or {})
    json_us = _measure_us(lambda: json.loads(json.dumps(CHAT)), repetitions)
    print(f"{'JSON of a chat completion':32} {json_us:6.1f} us")
    for title, work in (
        ("read a chat completion", lambda: read_fields(CHAT)),
        ("read a message of Anthropic", lambda: read_fields(MESSAGE)),
        ("read an answer of Converse", lambda: read_fields(CONVERSE)),
        ("merge a chunk without usage", lambda: merge_chunks([merged, CHUNK])),
        ("fit the fields of a call", lambda: fit_fields(fields)),
    ):
        work_us = _measure_us(work, repetitions)
        print(f"{title:32} {work_us:6.1f} us  {work_us / json_us:4.1f} of JSON")


def _measure_us(work: Callable[[], object], repetitions: int) -> float:
    rounds_s = []
    for _ in range(ROUNDS):
        start_s = time.process_time()
        for _ in range(repetitions):
            work()
        rounds_s.append(time.process_time() - start_s)
    return min(rounds_s) / repetitions * 1e6


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
