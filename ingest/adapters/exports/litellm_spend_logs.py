"""LiteLLM's table ``LiteLLM_SpendLogs``, exported from Postgres as CSV with JSON in cells, or dumped as JSON.

Source: ``schema.prisma`` and ``proxy/spend_tracking/spend_tracking_utils.py`` of BerriAI/litellm. Prompts, answers and
the proxied request (``messages``, ``response``, ``proxy_server_request``) are never read. ``spend`` is a claim.
"""

from collections.abc import Mapping
from typing import Any

from ingest.adapters.adapter import USAGE_FIELDS, Format, Row, RowSource, SourceEvent, StatelessReader
from ingest.adapters.cells import is_absent, is_true, parse_count, parse_list, parse_object, parse_time
from ingest.adapters.fields import Fields, read_status
from ingest.adapters.head import Head, parse_json
from ingest.adapters.token_usage import find_unreadable, select_counts
from tallystick.gateways.litellm_payload import (
    CALLER_FIELDS,
    CALLER_TAGS,
    METADATA_OBJECTS,
    is_empty_usage,
    read_operation,
)
from tallystick.gateways.provider_names import normalize_provider
from tallystick.usage.reader import read_fields

NAME = "litellm-spend-logs"
NOT_READ = (
    "messages", "response", "proxy_server_request", "cache_key", "requester_ip_address", "model_id", "api_base",
    "request_duration_ms",
)  # fmt: skip


def read_row(row: Row) -> list[SourceEvent]:
    fields = Fields(row, adapter=NAME, adapter_version="1", ingress="gateway", gateway="litellm")
    time = fields.time("startTime", "endTime")
    request_id = fields.identity("request_id")
    metadata = parse_object(fields.take("metadata"))
    _fill_caller(fields, metadata)
    _fill_model(fields)
    _fill_usage(fields, metadata)
    _fill_response_cache(fields)
    for column, field in (
        ("team_id", "team"), ("user", "user"), ("end_user", "customer"), ("session_id", "session"), ("api_key", "key"),
        ("agent_id", "agent"), ("mcp_namespaced_tool_name", "tool"),
    ):  # fmt: skip
        fields.text(field, fields.take(column), column)
    fields.text("operation", read_operation(fields.take("call_type")), "call_type")
    fields.tag("organization", fields.take("organization_id"))
    fields.claim(fields.take("spend"), "spend")
    status = fields.take("status") or metadata.get("status")
    if (word := read_status(status)) is not None:
        fields.data["status"] = word
    end, first_token = parse_time(fields.take("endTime")), parse_time(fields.take("completionStartTime"))
    if end is not None and end >= time:
        fields.milliseconds("latency_ms", str((end - time).total_seconds()), "endTime", 1000)
    if first_token is not None and time < first_token and (end is None or first_token < end):
        fields.milliseconds(
            "time_to_first_token_ms", str((first_token - time).total_seconds()), "completionStartTime", 1000
        )
    return [SourceEvent(request_id, time, fields.finish(skip=NOT_READ))]


def _fill_model(fields: Fields) -> None:
    """Fill the provider, and the models that were asked for and that answered. ``azure/gpt-4o`` is ``gpt-4o`` of
    ``azure``."""
    provider, model = fields.take("custom_llm_provider"), fields.take("model")
    if isinstance(model, str) and "/" in model:
        prefix, _, rest = model.partition("/")
        if is_absent(provider) or prefix == provider:
            provider, model = prefix, rest
    fields.text("provider", normalize_provider(str(provider)) if provider else None, "custom_llm_provider")
    group = fields.take("model_group")
    fields.text("model", model if group is None else group, "model")
    fields.text("model_resolved", model, "model")


def _fill_usage(fields: Fields, metadata: Mapping[str, Any]) -> None:
    """Fill usage from the columns, with the provider's usage block and what LiteLLM counted beside it."""
    columns = ("prompt_tokens", "completion_tokens", "total_tokens")
    block = {name: count for name in columns if (count := parse_count(fields.take(name))) is not None}
    for name in ("additional_usage_values", "usage_object"):
        details = metadata.get(name)
        if isinstance(details, Mapping):
            block |= {key: value for key, value in details.items() if value is not None}
    if find_unreadable(fields.row, columns) or _is_cut(fields.row.get("metadata")):
        fields.usage({"usage_source": "unknown", "provider_usage": select_counts(block)})
        return
    model, is_empty = fields.row.get("model"), is_empty_usage(block)
    usage = None if is_empty else read_fields({"usage": block}, model=model if isinstance(model, str) else None)
    if usage is None:
        usage = {"usage_source": "missing" if is_empty else "unknown"}
        if not is_empty:
            usage["provider_usage"] = select_counts(block)
    fields.usage(usage)


def _is_cut(metadata: Any) -> bool:
    """Tell whether a cell of metadata ends early, as spreadsheets cut long ones: what it said of the cache is lost."""
    return isinstance(metadata, str) and metadata.lstrip().startswith("{") and parse_json(metadata) is None


def _fill_caller(fields: Fields, metadata: Mapping[str, Any]) -> None:
    """Fill the caller, and the fields that ``tallystick.*`` names: in tags of the request, then in the metadata, where
    the last wins, as in LiteLLM's logging payload."""
    fields.labels(parse_list(fields.take("request_tags")), "request_tags")
    for name in METADATA_OBJECTS:
        attributes = metadata.get(name)
        if isinstance(attributes, Mapping):
            fields.attributes(attributes)
    fields.attributes(metadata)
    for name, field in CALLER_FIELDS.items():
        fields.text(field, metadata.get(name), f"metadata.{name}")
    for name, tag in CALLER_TAGS.items():
        fields.tag(tag, metadata.get(name))


def _fill_response_cache(fields: Fields) -> None:
    """Tell whether the gateway's own cache answered; nothing where it was off."""
    is_hit, key = fields.take("cache_hit"), fields.take("cache_key")
    if is_true(is_hit):
        fields.data["response_cache"] = "hit"
    elif is_hit is not None and key is not None and key != "Cache OFF":
        fields.data["response_cache"] = "miss"


def _recognises(head: Head) -> bool:
    return head.has("request_id", "call_type", "spend", "startTime") and not head.has("response_cost")


FORMAT = Format(
    name=NAME,
    known_by="columns or fields request_id, call_type, spend, model_group (CSV, JSON, JSONL)",
    recognises=_recognises,
    rows=RowSource(lambda name: StatelessReader(read_row), USAGE_FIELDS),
)
