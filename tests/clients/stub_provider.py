"""A provider on loopback: documented answers of OpenAI, Anthropic and Gemini, plain and streamed, with invented counts.

Forms: platform.openai.com/docs/api-reference, docs.anthropic.com/en/api/messages, ai.google.dev/api/generate-content.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TEXT = "QZXMARKED answer"
"""The content of every answer, which may stand nowhere afterwards."""

CHAT_USAGE = {
    "prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200,
    "prompt_tokens_details": {"cached_tokens": 300, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 50, "audio_tokens": 0, "accepted_prediction_tokens": 0,
                                  "rejected_prediction_tokens": 0},
}  # fmt: skip
CHAT_TOKENS = {"input": 700, "cache_read": 300, "output": 150, "reasoning": 50}
RESPONSES_USAGE = {
    "input_tokens": 10000, "input_tokens_details": {"cached_tokens": 8000}, "output_tokens": 2000,
    "output_tokens_details": {"reasoning_tokens": 1500}, "total_tokens": 12000,
}  # fmt: skip
RESPONSES_TOKENS = {"input": 2000, "cache_read": 8000, "output": 500, "reasoning": 1500}
ANTHROPIC_USAGE = {
    "input_tokens": 500, "cache_creation_input_tokens": 1000, "cache_read_input_tokens": 9000, "output_tokens": 400,
    "cache_creation": {"ephemeral_5m_input_tokens": 600, "ephemeral_1h_input_tokens": 400}, "service_tier": "standard",
}  # fmt: skip
ANTHROPIC_TOKENS = {"input": 500, "cache_write_5m": 600, "cache_write_1h": 400, "cache_read": 9000, "output": 400}
GEMINI_USAGE = {
    "promptTokenCount": 1000, "cachedContentTokenCount": 400, "candidatesTokenCount": 200, "thoughtsTokenCount": 300,
    "totalTokenCount": 1500,
}  # fmt: skip
GEMINI_TOKENS = {"input": 600, "cache_read": 400, "output": 200, "reasoning": 300}

_CHAT = {"id": "chatcmpl-1", "created": 1_780_315_200, "model": "gpt-5-2025-08-07", "service_tier": "default"}
_RESPONSE = {
    "id": "resp_1", "object": "response", "created_at": 1_780_315_200, "model": "gpt-5-2025-08-07",
    "status": "completed",
    "output": [{"type": "message", "id": "m", "role": "assistant", "status": "completed",
                "content": [{"type": "output_text", "text": TEXT, "annotations": []}]}],
    "parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "usage": RESPONSES_USAGE,
}  # fmt: skip
_MESSAGE = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5-20250929",
    "content": [{"type": "text", "text": TEXT}], "stop_reason": "end_turn", "stop_sequence": None,
    "usage": ANTHROPIC_USAGE,
}  # fmt: skip
_GENERATED = {
    "candidates": [{"content": {"role": "model", "parts": [{"text": TEXT}]}, "finishReason": "STOP", "index": 0}],
    "modelVersion": "gemini-2.5-flash", "responseId": "gemini-1", "usageMetadata": GEMINI_USAGE,
}  # fmt: skip

PLAIN: dict[str, Any] = {
    "chat/completions": _CHAT | {"object": "chat.completion", "usage": CHAT_USAGE, "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": TEXT}}]},
    "embeddings": {"object": "list", "model": "text-embedding-3-small",
                   "usage": {"prompt_tokens": 8, "total_tokens": 8},
                   "data": [{"object": "embedding", "index": 0, "embedding": [0.1]}]},
    "responses": _RESPONSE,
    "messages": _MESSAGE,
    ":generateContent": _GENERATED,
}  # fmt: skip
STREAMED: dict[str, list[dict[str, Any]]] = {
    "chat/completions": [
        _CHAT | {"object": "chat.completion.chunk", "usage": None,
                 "choices": [{"index": 0, "delta": {"role": "assistant", "content": TEXT}, "finish_reason": None}]},
        _CHAT | {"object": "chat.completion.chunk", "usage": None,
                 "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        _CHAT | {"object": "chat.completion.chunk", "usage": CHAT_USAGE, "choices": []},
    ],
    "responses": [
        {"type": "response.created", "sequence_number": 0,
         "response": {name: value for name, value in _RESPONSE.items() if name != "usage"} | {"status": "in_progress"}},
        {"type": "response.output_text.delta", "sequence_number": 1, "item_id": "m", "output_index": 0,
         "content_index": 0, "delta": TEXT, "logprobs": []},
        {"type": "response.completed", "sequence_number": 2, "response": _RESPONSE},
    ],
    "messages": [
        {"type": "message_start", "message": _MESSAGE | {
            "content": [], "stop_reason": None, "usage": ANTHROPIC_USAGE | {"output_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": TEXT}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None},
         "usage": {"output_tokens": 400}},
        {"type": "message_stop"},
    ],
    ":streamGenerateContent": [
        _GENERATED | {"usageMetadata": {"promptTokenCount": 1000, "totalTokenCount": 1000}},
        _GENERATED,
    ],
}  # fmt: skip


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["content-length"])) or b"{}")
        path = self.path.partition("?")[0]
        name = next((name for name in (*PLAIN, *STREAMED) if path.endswith(name)), None)
        if name is None:
            self.send_error(404)
        elif name in STREAMED and (request.get("stream") or name not in PLAIN):
            events = [f"event: {event['type']}\n" if "type" in event else "" for event in STREAMED[name]]
            chunks = [
                f"{event}data: {json.dumps(chunk)}\n\n" for event, chunk in zip(events, STREAMED[name], strict=True)
            ]
            end = "data: [DONE]\n\n" if name == "chat/completions" else ""
            self._answer("text/event-stream", "".join(chunks) + end)
        else:
            self._answer("application/json", json.dumps(PLAIN[name]))

    def _answer(self, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""


@contextmanager
def served() -> Iterator[str]:
    """Serve on a free port of loopback; yields the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
