"""LiteLLM's StandardLoggingPayload, an object a line, as its loggers write it into buckets (S3, GCS, Azure).

Source: ``StandardLoggingPayload`` in ``litellm/types/utils.py`` of BerriAI/litellm, and docs.litellm.ai, *Logging GCS,
s3 Buckets*. Content (``messages``, ``response``, ``model_parameters``, ``error_str``) is never read. ``response_cost``
is a claim.
"""

from ingest.adapters.adapter import USAGE_FIELDS, Format, Row, RowSource, SourceEvent, StatelessReader
from ingest.adapters.cells import parse_list, parse_object, parse_time
from ingest.adapters.exports.litellm import fill_caller, fill_model, fill_response_cache, fill_usage
from ingest.adapters.fields import Fields, read_status

NAME = "litellm-standard-logging"
NOT_READ = (
    "messages", "response", "model_parameters", "error_str", "hidden_params", "model_map_information", "api_base",
    "requester_ip_address", "model_id", "saved_cache_cost", "cost_breakdown", "response_time", "stream", "user_agent",
    "guardrail_information", "standard_built_in_tools_params", "response_cost_failure_debug_info", "error_information",
    "litellm_call_id", "status_fields",
)  # fmt: skip


def read_row(row: Row) -> list[SourceEvent]:
    fields = Fields(row, adapter=NAME, adapter_version="1", ingress="gateway", gateway="litellm")
    time = fields.time("startTime", "endTime")
    id = fields.identity("id")
    metadata = parse_object(fields.take("metadata"))
    fill_caller(fields, metadata)
    fill_model(fields)
    fill_usage(fields, metadata)
    fill_response_cache(fields)
    fields.text("customer", fields.take("end_user"), "end_user")
    fields.text("session", fields.take("session_id") or fields.take("trace_id"), "session_id")
    fields.ignore(["trace_id"])
    fields.text("operation", fields.take("call_type"), "call_type")
    fields.labels(parse_list(fields.take("request_tags")), "request_tags")
    fields.claim(fields.take("response_cost"), "response_cost")
    if (status := read_status(fields.take("status"))) is not None:
        fields.data["status"] = status
    error = parse_object(row.get("error_information"))
    fields.text("error_code", error.get("error_code"), "error_information.error_code")
    end, first_token = parse_time(fields.take("endTime")), parse_time(fields.take("completionStartTime"))
    if end is not None and end >= time:
        fields.milliseconds("latency_ms", str((end - time).total_seconds()), "endTime", 1000)
    if first_token is not None and time < first_token and (end is None or first_token < end):
        fields.milliseconds(
            "time_to_first_token_ms", str((first_token - time).total_seconds()), "completionStartTime", 1000
        )
    return [SourceEvent(id, time, fields.finish(skip=NOT_READ))]


FORMAT = Format(
    name=NAME,
    known_by="an object with id, call_type, response_cost, startTime (JSON, JSONL)",
    recognises=lambda head: head.has("id", "call_type", "response_cost", "startTime"),
    rows=RowSource(lambda name: StatelessReader(read_row), USAGE_FIELDS),
)
