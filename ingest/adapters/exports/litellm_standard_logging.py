"""LiteLLM's StandardLoggingPayload, an object a line, as its loggers write it into buckets (S3, GCS, Azure).

Source: ``StandardLoggingPayload`` in ``litellm/types/utils.py`` of BerriAI/litellm, and docs.litellm.ai, *Logging GCS,
s3 Buckets*. The callback reads the same payload by the same function, which names all that is taken out of it.
"""

from decimal import Decimal
from typing import Any

from ingest.adapters.adapter import USAGE_FIELDS, Format, Row, RowSource, SourceEvent, StatelessReader
from ingest.adapters.cells import EPOCH, parse_list, parse_object, parse_time
from ingest.adapters.fields import Fields
from ingest.adapters.head import Head
from tallystick.gateways.litellm_payload import is_call, read_payload

NAME = "litellm-standard-logging"
TIMES, LISTS = ("startTime", "endTime", "completionStartTime"), ("request_tags",)
OBJECTS = ("metadata", "hidden_params", "model_parameters", "response", "error_information", "cost_breakdown")
READ = (
    *TIMES, *LISTS, *OBJECTS, "litellm_call_id", "trace_id", "session_id", "call_type", "cache_hit", "stream", "status",
    "custom_llm_provider", "model", "model_group", "model_id", "api_base", "prompt_tokens", "completion_tokens",
    "total_tokens", "response_cost", "end_user",
)  # fmt: skip
NOT_READ = (
    "messages", "error_str", "model_map_information", "requester_ip_address", "cache_key", "saved_cache_cost",
    "response_time", "user_agent", "guardrail_information", "standard_built_in_tools_params",
    "response_cost_failure_debug_info", "status_fields",
)  # fmt: skip


def read_row(row: Row) -> list[SourceEvent]:
    if not is_call(row):
        return []
    fields = Fields(row, adapter=NAME, adapter_version="1")
    time, id = fields.time("startTime", "endTime"), fields.identity("id", "litellm_call_id")
    fields.usage(read_payload(_parse_cells(row)))
    return [SourceEvent(id, time, fields.finish(skip=(*READ, *NOT_READ)))]


def _parse_cells(row: Row) -> dict[str, Any]:
    """Return the payload as LiteLLM hands it to a callback: objects as objects, times in seconds since 1970."""
    payload = {name: row[name] for name in READ if name in row}
    payload |= {name: parse_object(row.get(name)) for name in OBJECTS}
    payload |= {name: parse_list(row.get(name)) for name in LISTS}
    moments = {name: parse_time(row.get(name)) for name in TIMES}
    seconds = {
        name: None if moment is None else Decimal(str((moment - EPOCH).total_seconds()))
        for name, moment in moments.items()
    }
    return {**payload, "id": row.get("id"), **seconds}


def _recognises(head: Head) -> bool:
    return head.has("id", "call_type", "response_cost", "startTime")


FORMAT = Format(
    name=NAME,
    known_by="an object with id, call_type, response_cost, startTime (JSON, JSONL)",
    recognises=_recognises,
    rows=RowSource(lambda name: StatelessReader(read_row), USAGE_FIELDS),
)
