"""LiteLLM's table ``LiteLLM_SpendLogs``, exported from Postgres as CSV with JSON in cells, or dumped as JSON.

Source: ``schema.prisma`` and ``proxy/spend_tracking/spend_tracking_utils.py`` of BerriAI/litellm. Prompts, answers and
the proxied request (``messages``, ``response``, ``proxy_server_request``) are never read. ``spend`` is a claim.
"""

from ingest.adapters.adapter import USAGE_FIELDS, Format, Row, RowSource, SourceEvent, StatelessReader
from ingest.adapters.cells import parse_list, parse_object, parse_time
from ingest.adapters.exports.litellm import fill_caller, fill_model, fill_response_cache, fill_usage
from ingest.adapters.fields import Fields, read_status
from ingest.adapters.head import Head

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
    fill_caller(fields, metadata)
    fill_model(fields)
    fill_usage(fields, metadata)
    fill_response_cache(fields)
    for column, field in (
        ("team_id", "team"), ("user", "user"), ("end_user", "customer"), ("session_id", "session"), ("api_key", "key"),
        ("call_type", "operation"), ("agent_id", "agent"), ("mcp_namespaced_tool_name", "tool"),
    ):  # fmt: skip
        fields.text(field, fields.take(column), column)
    fields.tag("organization", fields.take("organization_id"))
    fields.labels(parse_list(fields.take("request_tags")), "request_tags")
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


FORMAT = Format(
    name=NAME,
    known_by="columns or fields request_id, call_type, spend, model_group (CSV, JSON, JSONL)",
    recognises=lambda head: _recognises(head),
    rows=RowSource(lambda name: StatelessReader(read_row), USAGE_FIELDS),
)


def _recognises(head: Head) -> bool:
    return head.has("request_id", "call_type", "spend", "startTime") and not head.has("response_cost")
