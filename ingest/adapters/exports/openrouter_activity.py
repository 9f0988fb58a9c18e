"""OpenRouter's activity: the CSV of generations, objects of the generation API, and days of the activity API.

Source: openrouter.ai, *Activity export*, *Get generation*, *Get activity*. Prompt tokens include cached ones,
completion tokens include reasoning. Native counts, by which OpenRouter charges, stand above normalized ones. A day is
an aggregate.
"""

from collections.abc import Mapping
from typing import Any

from ingest.adapters.adapter import USAGE_FIELDS, Format, Row, RowSource, SourceEvent, StatelessReader
from ingest.adapters.cells import is_true, parse_count, parse_number, parse_text
from ingest.adapters.fields import Fields
from ingest.adapters.head import Head
from ingest.adapters.identity import join_identity
from ingest.adapters.token_usage import find_unreadable, make_usage, subtract

NAME = "openrouter-activity"
DAY_S = 86_400
STANDARD_VARIANTS = ("", "standard")
COUNTS = (
    "native_tokens_prompt", "tokens_prompt", "prompt_tokens", "native_tokens_completion", "tokens_completion",
    "completion_tokens", "native_tokens_cached", "tokens_cached", "cached_tokens", "native_tokens_reasoning",
    "tokens_reasoning", "reasoning_tokens", "native_tokens_completion_images",
)  # fmt: skip
NOT_READ = (
    "cost_web_search", "cost_cache", "cost_file_processing", "streamed", "finish_reason_raw", "app_id", "upstream_id",
    "total_cost", "cache_discount", "upstream_inference_cost", "native_finish_reason", "moderation_latency", "origin",
    "latency", "http_referer", "user_agent", "router", "provider_responses", "api_key_disabled", "num_search_results",
    "tokens_prompt", "tokens_completion", "model_permaslug", "is_byok",
)  # fmt: skip


def read_row(row: Row) -> list[SourceEvent]:
    inner = row.get("data")
    if isinstance(inner, Mapping):
        row = inner
    is_day = "requests" in row
    fields = Fields(row, adapter=NAME, adapter_version="1", ingress="gateway", gateway="openrouter")
    fields.data["provider"] = "openrouter"
    time = fields.time("date" if is_day else "created_at")
    prompt = _count(fields, "native_tokens_prompt", "tokens_prompt", "prompt_tokens")
    completion = _count(fields, "native_tokens_completion", "tokens_completion", "completion_tokens")
    cached = _count(fields, "native_tokens_cached", "tokens_cached", "cached_tokens")
    reasoning = _count(fields, "native_tokens_reasoning", "tokens_reasoning", "reasoning_tokens")
    names = ("prompt", "completion", "cached", "reasoning")
    counts = dict(zip(names, (prompt, completion, cached, reasoning), strict=True))
    media = parse_count(fields.take("native_tokens_completion_images"))
    tokens = {
        "input": subtract(prompt, cached),
        "cache_read": cached,
        "output": subtract(completion, reasoning, media),
        "reasoning": reasoning,
        "output_image": media,
    }
    unread = find_unreadable(row, COUNTS)
    fields.usage(make_usage(tokens, {"input": prompt, "output": completion}, counts, unread=unread))
    model = parse_text(fields.take("model") or fields.take("model_permaslug"))
    variant = str(fields.take("variant") or "")
    if model and variant not in STANDARD_VARIANTS and ":" not in model:
        model = f"{model}:{variant}"
    fields.text("model", model, "model")
    fields.claim(fields.take("cost_total" if "cost_total" in row else "usage"), "usage")
    for column, field in (
        ("user", "user"), ("external_user", "user"), ("api_key_name", "key"), ("data_region", "region"),
        ("finish_reason_normalized", "finish_reason"), ("finish_reason", "finish_reason"), ("api_type", "operation"),
        ("service_tier", "service_tier"),
    ):  # fmt: skip
        fields.text(field, fields.take(column), column)
    fields.milliseconds("latency_ms", fields.take("generation_time_ms") or fields.take("generation_time"), "latency")
    fields.milliseconds("time_to_first_token_ms", fields.take("time_to_first_token_ms"), "time_to_first_token_ms")
    fields.tag("upstream_provider", fields.take("provider_name"))
    fields.tag("app", fields.take("app_name"))
    if parse_number(fields.take("byok_usage_inference")) or is_true(row.get("is_byok")):
        fields.tag("byok", "true")
    if is_true(row.get("is_byok")):
        fields.data["payer"] = "customer"
    if is_true(fields.take("cancelled")):
        fields.data["status"] = "aborted"
    if is_day:
        return [_finish_day(fields, row, time)]
    id = fields.identity("generation_id", "id")
    return [SourceEvent(id, time, fields.finish(skip=NOT_READ))]


def _finish_day(fields: Fields, row: Row, time: Any) -> SourceEvent:
    calls = parse_count(fields.take("requests"))
    if calls:
        fields.data["calls"] = calls
    counts = [parse_count(row.get(name)) or 0 for name in ("requests", "prompt_tokens", "completion_tokens")]
    fields.data |= {"period_s": DAY_S, "revision": sum(counts)}
    parts = [parse_text(row.get(name)) or "" for name in ("model_permaslug", "model", "endpoint_id", "provider_name")]
    fields.ignore(["endpoint_id"])
    return SourceEvent(join_identity([time.date().isoformat(), *parts]), time, fields.finish(skip=NOT_READ))


def _count(fields: Fields, *names: str) -> int | None:
    counts = [parse_count(value) for name in names if (value := fields.take(name)) is not None]
    return counts[0] if counts else None


def _recognises(head: Head) -> bool:
    if head.has("generation_id", "created_at", "model_permaslug") or head.has("requests", "model_permaslug", "usage"):
        return True
    inner = [row.get("data") for row in head.rows]
    generations = [*head.rows, *(row for row in inner if isinstance(row, Mapping))]
    return any({"native_tokens_prompt", "created_at"} <= row.keys() for row in generations)


FORMAT = Format(
    name=NAME,
    known_by="columns generation_id and model_permaslug (CSV), or items of the activity or generation API (JSON)",
    recognises=_recognises,
    rows=RowSource(lambda name: StatelessReader(read_row), USAGE_FIELDS | {"provider", "gateway"}),
)
