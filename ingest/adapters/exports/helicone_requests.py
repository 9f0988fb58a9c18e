"""Helicone's requests, as its export tool and its API write them (CSV, JSON, JSONL).

Source: docs.helicone.ai, *Export data* and ``HeliconeRequest`` of ``/v1/request/query-clickhouse``. Bodies are never
read. The cache of a provider lies in ``prompt_tokens`` or beside it: the reading that sums to ``total_tokens`` is
taken, and usage is unknown where none does. ``cost`` is a claim.
"""

from typing import Any

from ingest.adapters.adapter import USAGE_FIELDS, Format, Row, RowSource, SourceEvent, StatelessReader
from ingest.adapters.cells import parse_count, parse_object
from ingest.adapters.fields import Fields, read_status
from ingest.adapters.token_usage import find_unread_counts, find_unreadable, make_usage, subtract

NAME = "helicone-requests"
NO_REFERENCE = "00000000-0000-0000-0000-000000000000"
COUNTS = (
    "prompt_tokens", "completion_tokens", "total_tokens", "prompt_cache_read_tokens", "prompt_cache_write_tokens",
    "prompt_audio_tokens", "completion_audio_tokens", "reasoning_tokens",
)  # fmt: skip
PROPERTY_FIELDS = {
    "helicone-session-id": "session", "helicone-prompt-id": "prompt", "helicone-property-environment": "environment",
}  # fmt: skip
NOT_READ = (
    "request_body", "response_body", "request_path", "target_url", "request_referrer", "assets", "asset_ids", "scores",
    "llmschema", "llmSchema", "node_id", "country_code", "signed_body_url", "response_created_at", "response_id",
    "updated_at", "cache_enabled", "cache_count", "size_bytes", "storage_location", "request_feedback", "feedback_id",
    "feedback_created_at", "feedback_rating", "costUSD", "helicone_user", "properties", "user_id", "prompt_version",
    "ai_gateway_body_mapping", "heliconeMetadata", "prompt_inputs", "request_auth_hash",
)  # fmt: skip


def read_row(row: Row) -> list[SourceEvent]:
    fields = Fields(row, adapter=NAME, adapter_version="1", ingress="gateway", gateway="helicone")
    time = fields.time("request_created_at")
    id = fields.identity("request_id")
    properties = dict(parse_object(row.get("properties"))) | dict(parse_object(fields.take("request_properties")))
    fields.attributes(properties)
    provider = str(fields.take("provider") or "").lower() or None
    fields.text("provider", provider, "provider")
    fields.usage(_read_usage(fields, provider))
    for column, field in (
        ("request_model", "model"), ("model_override", "model"), ("response_model", "model_resolved"),
        ("model", "model"), ("request_user_id", "user"), ("helicone_user", "user"), ("user_id", "user"),
        ("prompt_id", "prompt"),
    ):  # fmt: skip
        fields.text(field, fields.take(column), column)
    for name, value in properties.items():
        if name.lower() in PROPERTY_FIELDS:
            fields.text(PROPERTY_FIELDS[name.lower()], value, name)
        elif not name.startswith("tallystick") and not name.lower().startswith("helicone-"):
            fields.tag(name, value)
    fields.milliseconds("latency_ms", fields.take("delay_ms"), "delay_ms")
    fields.milliseconds("time_to_first_token_ms", fields.take("time_to_first_token"), "time_to_first_token")
    fields.claim(fields.take("cost") or row.get("costUSD"), "cost")
    reference = fields.take("cache_reference_id")
    if reference is not None and reference != NO_REFERENCE:
        fields.data["response_cache"] = "hit"
    if (status := read_status(fields.take("response_status"))) is not None:
        fields.data["status"] = status
    return [SourceEvent(id, time, fields.finish(skip=NOT_READ))]


def _read_usage(fields: Fields, provider: str | None) -> dict[str, Any]:
    counts = {name: parse_count(value) for name in COUNTS if (value := fields.take(name)) is not None}
    prompt, completion, total = (counts.get(name) for name in COUNTS[:3])
    read, written, audio, audio_out, reasoning = (counts.get(name) for name in COUNTS[3:])
    cache = (read or 0) + (written or 0)
    tokens = {
        "cache_read": read, "cache_write": written, "input_audio": audio, "output_audio": audio_out,
        "reasoning": reasoning, "input": subtract(prompt, read, written, audio),
        "output": subtract(completion, audio_out, reasoning),
    }  # fmt: skip
    unread = find_unreadable(fields.row, COUNTS)
    unread += find_unread_counts(fields.row, (*COUNTS, "cache_enabled", "cache_count", "time_to_first_token"))
    is_beside = total is not None and total == (prompt or 0) + (completion or 0) + cache
    if cache and is_beside:
        tokens["input"] = subtract(prompt, audio)
    elif cache and (total is None or provider == "anthropic"):
        unread = ["prompt_cache_read_tokens"]  # nothing tells whether the cache lies in prompt_tokens
    return make_usage(tokens, {"total": total}, counts, unread=unread)


FORMAT = Format(
    name=NAME,
    known_by="request_id, request_created_at and response_status (CSV, JSON, JSONL)",
    recognises=lambda head: head.has("request_id", "request_created_at", "response_status"),
    rows=RowSource(lambda name: StatelessReader(read_row), USAGE_FIELDS | {"gateway"}),
)
