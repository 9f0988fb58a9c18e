"""LiteLLM's StandardLoggingPayload as fields of an inference (pure).

The payload holds the messages and the answer; what is read of it is named here, and nothing else is taken out. LiteLLM
puts its callers' metadata into it under several names, where ``tallystick.<field>`` fills any field.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from tallystick.gateways.provider_names import normalize_provider
from tallystick.usage.base import to_mapping
from tallystick.usage.block import has_count
from tallystick.usage.reader import read_fields
from tallystick.usage.token_details import parse_amount
from tallystick.vocabulary.attribute_names import (
    ATTRIBUTE_PREFIX,
    HEADER_PREFIX,
    attribute_name,
    read_attributes,
    read_headers,
)

Fields = dict[str, Any]
Payload = Mapping[str, Any]

ADAPTER = "litellm"
CLIENT_DISCONNECTED = "499"
NO_CALLS = frozenset({"call_mcp_tool", "list_mcp_tools", "acount_tokens", "count_tokens", "vector_store_search"})
"""Types of calls at which no model answers."""

_OPERATIONS = {
    "completion": "chat", "responses": "chat", "anthropic_messages": "chat", "generate_content": "generate_content",
    "generate_content_stream": "generate_content", "text_completion": "text_completion", "embedding": "embeddings",
    "pass_through_endpoint": None, "allm_passthrough_route": None,
}  # fmt: skip
"""Types of calls by their synchronous name, and the operation of OpenTelemetry; any other is its own name."""
CALLER_FIELDS = {
    "user_api_key_team_id": "team", "user_api_key_project_id": "project", "user_api_key_user_id": "user",
    "user_api_key_end_user_id": "customer", "user_api_key_hash": "key",
}  # fmt: skip
CALLER_TAGS = {"user_api_key_org_id": "organization", "user_api_key_alias": "key_alias"}
"""Keys of LiteLLM's metadata that name the caller, and the field or the tag that each fills."""
METADATA_OBJECTS = ("user_api_key_auth_metadata", "spend_logs_metadata", "requester_metadata")
"""Places of callers' metadata: of their key, for the spend logs, of the request; the last wins."""
_TOTALS = ("prompt_tokens", "completion_tokens", "total_tokens")


def read_payload(payload: Payload, metadata: Payload | None = None) -> Fields:
    """Return the fields of an inference, for ``fit_fields``. ``metadata`` is that of a call without a proxy, which the
    payload does not repeat."""
    key = to_mapping(payload.get("metadata"))
    hidden = to_mapping(payload.get("hidden_params"))
    parameters = to_mapping(payload.get("model_parameters"))
    start_s, end_s = _read_seconds(payload.get("startTime")), _read_seconds(payload.get("endTime"))
    first_s = _read_seconds(payload.get("completionStartTime")) if payload.get("stream") else None
    callers = {field: key.get(name) for name, field in CALLER_FIELDS.items()}
    fields: Fields = {
        **callers,
        "adapter": ADAPTER,
        "ingress": "gateway",
        "gateway": ADAPTER,
        "provider": _find_provider(payload, hidden),
        "model": payload.get("model_group") or _find_model(payload, hidden),
        "model_resolved": _find_model(payload, hidden),
        "deployment": payload.get("model_id"),
        "operation": read_operation(payload.get("call_type")),
        "root_call": payload.get("trace_id"),
        "session": payload.get("session_id") or payload.get("trace_id"),
        "team": callers["team"] or key.get("team_id"),
        "customer": payload.get("end_user") or callers["customer"] or parameters.get("user"),
        "prompt": to_mapping(key.get("prompt_management_metadata")).get("prompt_id"),
        "max_tokens": parameters.get("max_completion_tokens") or parameters.get("max_tokens"),
        "response_cache": "hit" if payload.get("cache_hit") in (True, "True", "true") else None,
        "latency_ms": _subtract_ms(end_s, start_s),
        "time_to_first_token_ms": _subtract_ms(first_s, start_s),
        "tags": _read_tags(payload, key),
    }
    usage = _read_usage(payload, key, fields["model_resolved"])
    fields |= usage | _read_outcome(payload) | _read_claim(payload)
    tier = to_mapping(payload.get("cost_breakdown")).get("service_tier")
    fields["service_tier"] = usage.get("service_tier") or tier
    for source in _list_metadata(payload, key, metadata):
        own = read_attributes(source)
        tags = {**(fields["tags"] or {}), **to_mapping(own.pop("tags", None))}
        fields |= own | {"tags": tags}
    return {name: value for name, value in fields.items() if value not in (None, "", {})}


def identify_payload(payload: Payload) -> str | None:
    """Return the id of the call: that of the call and that of its answer, since a cached answer keeps the id of the
    first. A failed attempt has no answer, and its start tells it from the next. None where no call is named."""
    call, answer = payload.get("litellm_call_id"), payload.get("id")
    if payload.get("status") == "failure":
        start = payload.get("startTime")
        return f"{call or answer}/{start}" if call or answer else None
    if call and answer and call != answer:
        return f"{call}:{answer}"
    return str(call or answer) if call or answer else None


def is_call(payload: Payload) -> bool:
    """Tell whether a model was called, or its cached answer given."""
    return payload.get("call_type") not in NO_CALLS


def read_operation(call_type: object) -> str | None:
    """Return OpenTelemetry's name of an operation for LiteLLM's type of a call."""
    if not isinstance(call_type, str):
        return None
    name = call_type if call_type in _OPERATIONS or call_type.startswith("anthropic") else call_type.removeprefix("a")
    return _OPERATIONS.get(name, name)


def _find_provider(payload: Payload, hidden: Payload) -> str | None:
    name = payload.get("custom_llm_provider")
    host = payload.get("api_base") or hidden.get("api_base")
    if not isinstance(name, str) or not name:
        return None
    return normalize_provider(name, host if isinstance(host, str) else None)


def _find_model(payload: Payload, hidden: Payload) -> Any:
    """Return the model as the provider knows it: LiteLLM writes its own name of the provider before it."""
    model = hidden.get("litellm_model_name") or payload.get("model")
    prefix = f"{payload.get('custom_llm_provider')}/"
    return model.removeprefix(prefix) if isinstance(model, str) else model


def _read_outcome(payload: Payload) -> Fields:
    """Return status and code of the error, and of its text nothing: it may quote the prompt."""
    error = to_mapping(payload.get("error_information"))
    code, kind = error.get("error_code"), error.get("error_class")
    if str(code) == CLIENT_DISCONNECTED:
        return {"status": "aborted", "error_code": kind or CLIENT_DISCONNECTED}
    if payload.get("status") == "failure":
        return {"status": "error", "error_code": kind or code}
    return {"status": "ok"}


def is_empty_usage(block: Payload) -> bool:
    """Tell whether a usage block counts nothing. LiteLLM writes zeros where an answer has no usage, as those of images,
    speech and streams that broke off: it is missing, and no call of zero tokens."""
    return not any(has_count(str(name), value) for name, value in block.items())


def _read_usage(payload: Payload, key: Payload, model: object) -> Fields:
    """Read the usage that LiteLLM hands on from the provider, else its own totals."""
    block = to_mapping(key.get("usage_object")) or to_mapping(to_mapping(payload.get("response")).get("usage"))
    if not block:
        block = {name: payload.get(name) for name in _TOTALS if payload.get(name)}
    response = to_mapping(payload.get("response"))
    words = {name: response[name] for name in ("model", "service_tier") if isinstance(response.get(name), str)}
    if words.get("model") == payload.get("model_group"):
        words.pop("model", None)  # the proxy answers by the name that was asked for
    answer = {**words, "output": response.get("output")}  # which lists searches of the web
    if not is_empty_usage(block):
        answer["usage"] = block
    fields = read_fields(answer, model=model if isinstance(model, str) else None)
    if fields is None:
        fields = {"usage_source": "missing"}
        if "model" in words:
            fields["model_resolved"] = words["model"]
    return fields


def _read_claim(payload: Payload) -> Fields:
    """Return the cost that LiteLLM computed, a float, as a claim. It writes zero also where it knows no price."""
    amount = parse_amount(payload.get("response_cost"))
    return {"claimed_cost": amount, "claimed_currency": "USD"} if amount else {}


def _read_tags(payload: Payload, key: Payload) -> Fields:
    """Return the request's tags, which are words or pairs (``env:prod``), with the names of organization and key."""
    tags: Fields = {}
    for name, value in _split_tags(payload):
        if not name.startswith(ATTRIBUTE_PREFIX):
            tags[name] = value or "true"
    for name, label in CALLER_TAGS.items():
        if key.get(name):
            tags.setdefault(label, key[name])
    return tags


def _split_tags(payload: Payload) -> list[tuple[str, str]]:
    """Split the request's tags into names and values; a word alone has none."""
    listed = payload.get("request_tags")
    words = [tag for tag in listed if isinstance(tag, str) and tag] if isinstance(listed, list | tuple) else []
    return [(name, value) for name, _, value in (tag.partition(":" if ":" in tag else "=") for tag in words)]


def _list_metadata(payload: Payload, key: Payload, metadata: Payload | None) -> Iterator[Payload]:
    """List the places of callers' metadata, the weakest first."""
    yield {name: value for name, value in _split_tags(payload) if value}
    for name in METADATA_OBJECTS:
        if place := to_mapping(key.get(name)):
            yield place
    if headers := to_mapping(key.get("requester_custom_headers")):
        prefix = f"x-{HEADER_PREFIX.lower()}"
        pairs = [
            (str(name).lower()[2:], str(value))
            for name, value in headers.items()
            if str(name).lower().startswith(prefix)
        ]
        fields = read_headers(pairs)
        yield {attribute_name(name): value for name, value in fields.items()}
    if metadata:
        yield metadata
        if requester := to_mapping(metadata.get("requester_metadata")):
            yield requester


def _read_seconds(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    seconds = Decimal(str(value))
    return seconds if seconds.is_finite() else None


def _subtract_ms(end_s: Decimal | None, start_s: Decimal | None) -> int | None:
    if end_s is None or start_s is None:
        return None
    return max(0, round((end_s - start_s) * 1000))
