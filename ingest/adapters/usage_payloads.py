"""Responses of providers, and chunks of their streams, as events: what ``POST /v1/usage/{form}`` takes, and files of
responses hold (pure).

Only counts, ids and a few words are read of a response; its messages are decoded, and dropped with it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from ingest.adapters.adapter import INFERENCE_TYPE
from ingest.intake.rejection import Rejection
from tallystick.gateways.litellm_payload import identify_payload, read_payload
from tallystick.usage.reader import read_fields, read_response_words
from tallystick.vocabulary.base import EARLIEST, LATEST
from tallystick.vocabulary.fitting import fit_fields

Response = Mapping[str, Any]

FORM_PROVIDERS = {
    "anthropic_messages": "anthropic", "azure_openai": "azure", "bedrock_converse": "aws", "bedrock_invoke": "aws",
    "cohere": "cohere", "deepseek": "deepseek", "gemini": "google", "gemini_interactions": "google",
    "gemini_openai": "google", "groq": "groq", "mistral": "mistral", "mistral_ocr": "mistral",
    "moonshot": "moonshotai", "ollama": "ollama", "openai_batch": "openai",
    "openai_chat": "openai", "openai_embeddings": "openai", "openai_images": "openai", "openai_realtime": "openai",
    "openai_responses": "openai", "openai_transcription": "openai", "openrouter": "openrouter", "vertex": "google",
    "xai": "x-ai",
}  # fmt: skip
"""The provider that the name of a form means, where a header does not name one; libraries answer for any."""

_ID_NAMES = ("id", "responseId", "response_id", "generation_id", "requestId")
_INNER_NAMES = ("response", "message", "body", "result", "ResponseMetadata")
_TIME_NAMES = ("created", "created_at", "createTime", "create_time", "startTime")
_CHUNK_TYPES = re.compile(
    r"(response|conversation|session|input_audio_buffer|rate_limits|transcript|image_generation|image_edit)\.\S+|"
    r"message_(start|delta|stop)|content_block_(start|delta|stop)|ping|message-(start|end)|content-(start|delta|end)|"
    r"tool-(plan|call|input|result)\S*|citation-(start|end)|stream-(start|end)|text-(start|delta|end|generation)|"
    r"(start|finish|step)(-step)?(-start|-finish)?|reasoning(-\S+)?|AIMessageChunk|source|file|raw|error"
)
_CHUNK_KEYS = frozenset({
    "messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata",
})  # fmt: skip
_FIRST_TYPES = frozenset({"message_start", "message-start", "stream-start", "response.created", "start"})
_ID = re.compile(r"\S{1,256}")
"""An id has no spaces; a text that has some may be content."""
MAX_DEPTH = 6
"""Objects and lists within one another that are looked at: usage stands at most three deep, searches five."""
MAX_PART_BYTES, MAX_LIST_BYTES = 16 << 10, 256 << 10
"""Parts of a response that are longer are not decoded as a whole, and lists that are longer not at all."""
_ANSWER_NAMES = frozenset({"output", "candidates"})
"""Lists that may hold searches, which are charged for: they are decoded part by part, however long they are."""

_decode = msgspec.json.Decoder().decode
_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Identity(NamedTuple):
    """The part of an event that the sender names besides its fields: id, source and time."""

    id: str | None
    source: str | None
    time: str | None


class CallReading(NamedTuple):
    """What a response says of its call: its id and time, where it names them, and the data of an inference."""

    id: str | None
    time: str | None
    data: dict[str, Any]


def split_calls(items: Sequence[Any], *, is_stream: bool = False) -> list[list[Any]]:
    """Group what was sent into calls: a response is one, and so are chunks of one stream, which follow one another and
    have one id, or none. A list within the list is one call's chunks, and ``is_stream`` says that all of it is."""
    if is_stream:
        return [list(items)] if items else []
    calls: list[list[Any]] = []
    call_id: str | None = None
    is_open = False
    for item in items:
        if isinstance(item, list):
            calls.append(item)
            is_open = False
            continue
        response = item if isinstance(item, dict) else {}
        id = find_id(response)
        is_chunk = _is_chunk(response)
        continues = is_open and not _is_first(response) and (id == call_id if id and call_id else is_chunk)
        if continues:
            calls[-1].append(item)
            call_id = call_id or id
        else:
            calls.append([item])
            call_id, is_open = id, is_chunk or id is not None
    return calls


def read_call(call: Sequence[Any], form: str, fields: Mapping[str, Any]) -> CallReading:
    """Read one call: a response, or the chunks of its stream. ``fields`` fill what it lacks. Rejection where it is
    neither."""
    responses = [item for item in call if isinstance(item, dict)]
    if len(responses) < len(call) or not responses:
        raise Rejection("", "is not a JSON object: send a provider's response, or the chunks of its stream", list(call))
    if form == "litellm" and "call_type" in responses[0]:
        read = read_payload(responses[0])
        id = identify_payload(responses[0])
    else:
        model = fields.get("model")
        payload = list(call) if len(call) > 1 else responses[0]
        usage = read_fields(payload, form, model if isinstance(model, str) else None)
        usage = usage or {"usage_source": "missing", **read_response_words(responses[0])}
        read = {"status": "ok", "adapter": form, **usage}
        if "model" not in fields and "model_resolved" in read:
            read["model"] = read["model_resolved"]
        id = next(filter(None, map(find_id, responses)), None)
    defaults = {"provider": FORM_PROVIDERS.get(form), "ingress": "direct"}
    values = defaults | dict(fields) | {name: value for name, value in read.items() if value is not None}
    return CallReading(id, next(filter(None, map(_find_time, responses)), None), fit_fields(values).fields)


def build_event(
    call: Sequence[Any], form: str, identity: Identity, fields: Mapping[str, Any], now: datetime
) -> dict[str, Any]:
    """Build the event of one call. ``fields`` are those of the headers, which fill what the response lacks. Rejection
    where it is no response, or nothing identifies it."""
    reading = read_call(call, form, fields)
    id = identity.id or reading.id
    if id is None:
        raise Rejection(
            "id", "is missing: the response has none, so send one in the header Tallystick-Id; the same with a retry"
        )
    return {
        "specversion": "1.0", "id": id, "source": identity.source or f"usage/{form}",
        "time": identity.time or reading.time or _format_time(now), "type": INFERENCE_TYPE, "data": reading.data,
    }  # fmt: skip


def build_events(
    calls: Sequence[Sequence[Any]], form: str, identity: Identity, fields: Mapping[str, Any], now: datetime
) -> Iterator[dict[str, Any] | Rejection]:
    """Build the event of each call, or the reason why there is none. One id for several calls is numbered."""
    for number, call in enumerate(calls, 1):
        call_identity = identity
        if identity.id is not None and len(calls) > 1:
            call_identity = identity._replace(id=f"{identity.id}/{number}")
        try:
            yield build_event(call, form, call_identity, fields, now)
        except Rejection as rejection:
            yield rejection


def find_id(response: Response, depth: int = 0) -> str | None:
    """Find the id of the response that an object is, or is a part of: at its top, or in the object around its usage."""
    for name in _INNER_NAMES if depth < MAX_DEPTH else ():
        inner = response.get(name)
        if isinstance(inner, dict) and (id := find_id(inner, depth + 1)):
            return id
    values = (response.get(name) for name in (*_ID_NAMES, "RequestId") if depth or name != "RequestId")
    return next((value for value in values if isinstance(value, str) and _ID.fullmatch(value)), None)


def decode_stripped(raw: bytes, depth: int = 0, name: str = "") -> Any:
    """Decode JSON without what is long in it: texts, files and lists of messages. ``name`` is that of the value in the
    object around it. ValueError where it is none."""
    if len(raw) <= MAX_PART_BYTES:
        return _decode(raw)
    first = raw.lstrip()[:1]
    if first == b"{" and depth < MAX_DEPTH:
        return {name: decode_stripped(bytes(part), depth + 1, name) for name, part in _decode_object(raw).items()}
    if first == b"[" and depth < MAX_DEPTH and (len(raw) <= MAX_LIST_BYTES or name in _ANSWER_NAMES):
        return [decode_stripped(bytes(part), depth + 1) for part in _decode_list(raw)]
    if depth == 0:
        raise ValueError("neither an object nor a list of at most 256 KiB")
    return None


def list_stream_data(body: bytes) -> list[bytes]:
    """Return the data of server-sent events, as a provider's stream has them, but for its end (``[DONE]``)."""
    lines = (line.strip() for line in body.splitlines() if line.startswith(b"data:"))
    data = (line.removeprefix(b"data:").strip() for line in lines)
    return [item for item in data if item and item != b"[DONE]"]


def _is_chunk(response: Response) -> bool:
    kind, object_kind = response.get("type"), response.get("object")
    if isinstance(object_kind, str) and object_kind.endswith(".chunk"):
        return True
    if isinstance(kind, str) and _CHUNK_TYPES.fullmatch(kind):
        return True
    return len(response) <= 2 and bool(_CHUNK_KEYS & response.keys())


def _is_first(response: Response) -> bool:
    return response.get("type") in _FIRST_TYPES or "messageStart" in response


def _find_time(response: Response, depth: int = 0) -> str | None:
    """Find the time of a response in seconds since 1970, or as RFC 3339."""
    for name in _TIME_NAMES:
        value = response.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            if EARLIEST.timestamp() <= value < LATEST.timestamp():
                return _format_time(datetime.fromtimestamp(value, UTC))
        elif isinstance(value, str) and value.endswith("Z") and len(value) <= 40:
            try:
                return _format_time(datetime.fromisoformat(value))
            except ValueError:
                continue
    for name in _INNER_NAMES if depth < MAX_DEPTH else ():
        inner = response.get(name)
        if isinstance(inner, dict) and (time := _find_time(inner, depth + 1)):
            return time
    return None


def _format_time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
