"""A span as an inference: which spans are calls to a model, and the event of one. Pure."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any

import msgspec

from ingest.intake.rejection import Rejection
from ingest.spans.attribute_names import FIELD, IDENTITY_NAMES, find_property_field
from ingest.spans.span import Slots, Span
from ingest.spans.token_usage import read_usage
from ledger.inference_fields import MAX_COUNT
from tallystick.gateways.provider_names import normalize_provider
from tallystick.vocabulary.attribute_names import ATTRIBUTE_PREFIX
from tallystick.vocabulary.fitting import fit_fields

ADAPTER = "otlp"
INFERENCE_TYPE = "tallystick.inference.v1"
DEFAULT_SOURCE = "otlp"

Event = dict[str, Any]


class Role(Enum):
    """The part that a span plays in the ledger."""

    CALL = "call"
    """One call to a model."""
    PARENT = "parent"
    """An agent, workflow or wrapper: its usage repeats that of its children. It names their agent and session."""
    OTHER = "other"


_CALL_OPERATIONS = frozenset({
    "chat", "text_completion", "completion", "generate_content", "embeddings", "embedding", "rerank", "responses",
    "image_generation", "generate_image", "text_to_speech", "speech", "speech_to_text", "transcription", "translation",
    "moderation", "message", "messages", "inference", "realtime", "fine_tuning",
})  # fmt: skip
_PARENT_OPERATIONS = frozenset({
    "invoke_agent", "create_agent", "invoke_workflow", "execute_tool", "retrieval", "plan", "workflow", "agent", "task",
    "chain", "handoff", "guardrail", "execute_task", "run_agent", "execute_agent", "execute_event_loop_cycle",
    "execute_event_loop",
})  # fmt: skip
_CALL_REQUEST_TYPES = frozenset({"chat", "completion", "embedding", "rerank"})
_LENT_SLOTS = frozenset({
    "agent", "agent_version", "session", "user", "customer", "feature", "project", "team", "environment", "prompt",
    "prompt_version",
})  # fmt: skip
"""Attributes of a parent that its calls take over where they lack them; so are all of ``tallystick.*``."""
_ABORTS = ("cancelled", "canceled", "generatorexit", "keyboardinterrupt", "abort")
_ID = re.compile(r"\S{1,200}")
"""The id of a response has no spaces; a text that has some may be content."""
_MAX_METADATA_LENGTH = 8_192
MAX_PLAIN_LENGTH = 42
"""Characters of a text that stays within the bound of a name, whatever pseudonyms the intake writes into it."""
_TEXT_FIELDS = frozenset({
    "adapter", "agent", "agent_version", "corpus_version", "customer", "environment", "error_code", "feature",
    "finish_reason", "model", "model_resolved", "operation", "parent_call", "project", "prompt", "prompt_version",
    "provider", "root_call", "service_tier", "session", "team", "tool", "user",
})  # fmt: skip
_MADE_FIELDS = frozenset({
    "ingress", "status", "latency_ms", "time_to_first_token_ms", "tokens", "reported_tokens", "usage_source",
    "claimed_cost", "claimed_currency",
})  # fmt: skip
"""Fields that this module fills with values of their types."""
_OPERATION_BY_KIND = {
    "LLM": "chat",
    "EMBEDDING": "embeddings",
    "embedding": "embeddings",
    "completion": "text_completion",
}

_decode_metadata = msgspec.json.Decoder(dict[str, Any]).decode


def find_role(span: Span) -> Role:
    """Find the part that a span plays, by the first mark of its instrumentation."""
    slots = span.slots
    if slots.get("logfire_type") == "pending_span":
        return Role.OTHER  # sent when a span begins, and once more whole when it ends
    if isinstance(operation := slots.get("vercel_operation"), str):
        return Role.CALL if operation.rpartition(".")[2].startswith("do") else Role.PARENT
    if isinstance(kind := slots.get("openinference_kind"), str):
        return Role.CALL if kind.upper() in ("LLM", "EMBEDDING") else Role.PARENT
    if isinstance(operation := slots.get("operation"), str):
        operation = operation.lower()
        if operation in _CALL_OPERATIONS:
            return Role.CALL
        is_parent = operation in _PARENT_OPERATIONS or "model" not in slots or "input" not in slots
        return Role.PARENT if is_parent else Role.CALL
    if slots.get("request_type") in _CALL_REQUEST_TYPES:
        return Role.CALL
    if "traceloop_kind" in slots:
        return Role.PARENT
    if "model" in slots and ("provider" in slots or "input" in slots or "output" in slots):
        return Role.CALL  # from before operations had names
    return Role.PARENT


def has_usage(span: Span) -> bool:
    return "input" in span.slots or "output" in span.slots or "total" in span.slots


def lend_slots(parent: Slots) -> Slots:
    """Return the attributes of a parent that its calls take over."""
    parent_slots = {name: value for name, value in parent.items() if name in _LENT_SLOTS or name.startswith(FIELD)}
    if "agent" not in parent_slots and parent.get("traceloop_kind") == "agent" and "entity" in parent:
        parent_slots["agent"] = parent["entity"]
    return parent_slots


def identify(span: Span) -> str:
    """Return the id of a call: that of the provider's response, which every instrumentation of the call has, else that
    of the span. Ollama numbers its responses from a few hundred numbers, so there the span's is taken."""
    slots = span.slots
    if isinstance(id := slots.get("field:id"), str) and id:
        return id
    response = slots.get("response_id")
    provider = _find_provider(slots)
    if isinstance(response, str) and _ID.fullmatch(response) and provider != "ollama":
        return f"{(provider or 'provider')[:50]}:{response}"
    return f"{span.trace_id}:{span.span_id}"


def build_event(span: Span, parent_slots: Mapping[str, Any], defaults: Mapping[str, Any]) -> Event:
    """Build the event of a call. ``parent_slots`` come from its parents, and ``defaults`` are fields for what it lacks.
    Rejection where it has no id or no time."""
    slots = _merge_slots(span, parent_slots)
    if not span.trace_id or not span.span_id:
        raise Rejection("id", "is missing: the span has no trace id of 16 bytes and span id of 8")
    time = _read_time(span.start_ns)
    source = slots.get("field:source") or slots.get("source") or defaults.get("source") or DEFAULT_SOURCE
    provider = _find_provider(slots)
    latency_ms = (span.end_ns - span.start_ns) // 1_000_000
    fields: dict[str, Any] = {
        "adapter": ADAPTER,
        "ingress": "telemetry",
        "root_call": span.trace_id,
        "parent_call": span.parent_id or None,
        "provider": provider,
        "operation": _find_operation(slots),
        "status": _find_status(span, slots),
        "latency_ms": latency_ms if 0 <= latency_ms <= MAX_COUNT else None,
        "service_tier": slots.get("service_tier") or _find_requested_tier(slots),
        "time_to_first_token_ms": _find_first_token_ms(slots),
    }
    for name in (
        "model", "model_resolved", "error_code", "session", "user", "customer", "agent", "agent_version", "tool",
        "prompt", "prompt_version", "corpus_version", "feature", "team", "project", "environment", "max_tokens",
    ):  # fmt: skip
        if (value := slots.get(name)) is not None:
            fields[name] = value
    reasons = slots.get("finish_reason")
    fields["finish_reason"] = reasons[0] if isinstance(reasons, list) and reasons else reasons or None
    fields |= _claim_cost(slots) | read_usage(slots, provider, fields["operation"])
    _take_named_fields(slots, fields)
    for name, value in defaults.items():
        if name != "source" and fields.get(name) is None:
            fields[name] = value
    given_fields = {name: value for name, value in fields.items() if value is not None}
    data = given_fields if _is_plain(given_fields) else fit_fields(given_fields).fields
    return {
        "specversion": "1.0",
        "id": identify(span),
        "source": str(source),
        "time": time,
        "type": INFERENCE_TYPE,
        "data": data,
    }


def _is_plain(fields: Mapping[str, Any]) -> bool:
    """Tell quickly that fields fit as they are: short texts where a text may stand, and what this module makes. Most
    spans are such, and fitting takes as long as reading them."""
    for name, value in fields.items():
        if name in _MADE_FIELDS:
            continue
        if type(value) is str:
            if name not in _TEXT_FIELDS or not 0 < len(value) <= MAX_PLAIN_LENGTH or not value.isprintable():
                return False
        elif name != "max_tokens" or type(value) is not int or not 0 <= value <= MAX_COUNT:
            return False
    return True


def _merge_slots(span: Span, parent_slots: Mapping[str, Any]) -> Slots:
    """Return the slots of a call; what it lacks comes from its parents, its metadata and its resource."""
    slots = {**span.resource, **parent_slots, **span.slots}
    if isinstance(text := slots.get("metadata"), str) and len(text) <= _MAX_METADATA_LENGTH:
        try:
            metadata = _decode_metadata(text)
        except (msgspec.DecodeError, RecursionError):
            metadata = {}
        for label, value in metadata.items():
            field = find_property_field(label)
            if field and isinstance(value, str | int):
                slots.setdefault(field, value)
    return slots


def _take_named_fields(slots: Slots, fields: dict[str, Any]) -> None:
    """Take what ``tallystick.*`` names: a field, or ``tallystick.tags.<label>``. It wins over what was read. A name
    that carries no field is left out by name."""
    tags: dict[str, Any] = {}
    for name, value in slots.items():
        if not name.startswith(FIELD) or name.removeprefix(FIELD) in IDENTITY_NAMES:
            continue
        field = name[len(FIELD) :]
        if field.startswith("tags."):
            tags[field[len("tags.") :]] = value
        elif field.startswith(ATTRIBUTE_PREFIX):
            fields["left_out"] = (*fields.get("left_out", ()), field)
        else:
            fields[field] = value
    if tags:
        fields["tags"] = tags


def _find_provider(slots: Slots) -> str | None:
    name, host = slots.get("provider"), slots.get("host")
    if not isinstance(name, str) or not name:
        return None
    return normalize_provider(name, host if isinstance(host, str) else None)


def _find_operation(slots: Slots) -> str | None:
    if isinstance(operation := slots.get("operation"), str):
        return operation
    for slot in ("openinference_kind", "request_type"):
        if isinstance(kind := slots.get(slot), str):
            return _OPERATION_BY_KIND.get(kind, kind.lower())
    vercel = slots.get("vercel_operation")
    if isinstance(vercel, str):
        return "embeddings" if vercel.startswith("ai.embed") else "chat"
    return None


def _find_status(span: Span, slots: Slots) -> str:
    code = slots.get("error_code")
    if isinstance(code, str) and any(word in code.lower() for word in _ABORTS):
        return "aborted"
    return "error" if span.is_error or code else "ok"


def _find_requested_tier(slots: Slots) -> Any:
    """Return the tier that was asked for, where it is one: ``auto`` lets the provider choose."""
    tier = slots.get("requested_service_tier")
    return None if tier == "auto" else tier


def _find_first_token_ms(slots: Slots) -> int | None:
    seconds, milliseconds = slots.get("time_to_first_chunk_s"), slots.get("time_to_first_token_ms")
    if isinstance(seconds, int | float) and 0 <= seconds < 1e6:
        return round(seconds * 1000)
    return round(milliseconds) if isinstance(milliseconds, int | float) and 0 <= milliseconds < 1e9 else None


def _claim_cost(slots: Slots) -> dict[str, Any]:
    """Return the cost that an instrumentation computed, as a claim. It is a float there, written in full here."""
    value = slots.get("claimed_cost")
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return {}
    try:
        amount = Decimal(str(value))
        if not 0 <= amount < 10**20:
            return {}
        return {"claimed_cost": format(round(amount, 12), "f"), "claimed_currency": "USD"}
    except InvalidOperation:
        return {}


def _read_time(start_ns: int) -> str:
    if not start_ns:
        raise Rejection("time", "is missing: the span has no start_time_unix_nano")
    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=start_ns // 1000)
    except OverflowError:
        raise Rejection("time", "is no time in nanoseconds since 1970") from None
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
