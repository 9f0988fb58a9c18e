"""Anthropic's usage: the console's CSV, and pages or results of the usage report of the Admin API.

Source: Anthropic's API reference, *Usage report, messages*, and the console's export. Each row sums the requests of a
day (or of the report's bucket), so it is an aggregate of an unknown number of calls. Counts are disjoint.
"""

import re
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import Any

from ingest.adapters.adapter import USAGE_FIELDS, Format, Read, Row, RowSource, SourceEvent, StatelessReader
from ingest.adapters.cells import is_absent, parse_count, parse_object, parse_text, parse_time
from ingest.adapters.fields import Fields
from ingest.adapters.head import Head
from ingest.adapters.identity import join_identity
from ingest.adapters.token_usage import find_unread_counts, find_unreadable, make_usage
from ingest.intake.rejection import Rejection

NAME = "anthropic-usage"
DAY_S, HOUR_S = 86_400, 3_600
CONSOLE_TOKENS = {
    "usage_input_tokens_no_cache": "input",
    "usage_input_tokens_cache_write_5m": "cache_write_5m",
    "usage_input_tokens_cache_write_1h": "cache_write_1h",
    "usage_input_tokens_cache_write": "cache_write",
    "usage_input_tokens_cache_read": "cache_read",
    "usage_output_tokens": "output",
}
REPORT_TOKENS = {
    "uncached_input_tokens": "input",
    "cache_read_input_tokens": "cache_read",
    "output_tokens": "output",
    "cache_creation.ephemeral_5m_input_tokens": "cache_write_5m",
    "cache_creation.ephemeral_1h_input_tokens": "cache_write_1h",
}
DIMENSIONS = (
    "model_version", "model", "api_key", "api_key_id", "workspace", "workspace_id", "usage_type", "service_tier",
    "context_window", "inference_geo", "speed", "account_id", "service_account_id",
)  # fmt: skip
PERSONS = ("account_id",)
_WINDOW = re.compile(r"(?P<most>≤|<=|<)?(?P<above>>)?(?P<count>[0-9]+)(?P<unit>k|m)?(-[0-9]+(k|m)?)?")


def read_row(row: Row) -> Read:
    results = row.get("results")
    if not isinstance(results, list):
        yield from _read_result(row)
        return
    for result in results:
        if isinstance(result, Mapping):
            yield from _read_result({**result, **{name: row.get(name) for name in ("starting_at", "ending_at")}})


def _read_result(result: Row) -> Iterator[SourceEvent | Rejection]:
    try:
        if event := _read_event(_flatten(result)):
            yield event
    except Rejection as rejection:
        yield rejection


def _flatten(result: Row) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in result.items():
        inner = parse_object(value) if name in ("cache_creation", "server_tool_use") else {}
        flat |= {f"{name}.{key}": count for key, count in inner.items()} if inner else {name: value}
    return flat


def _read_event(result: Row) -> SourceEvent | None:
    if "amount" in result:
        raise Rejection("amount", "is a cost: this is Anthropic's cost report, and no usage of calls")
    fields = Fields(result, adapter=NAME, adapter_version="1", ingress="telemetry", provider="anthropic")
    is_console = "usage_date_utc" in result
    start = fields.time("usage_date_utc" if is_console else "starting_at")
    names = CONSOLE_TOKENS if is_console else REPORT_TOKENS
    counts = {name: parse_count(value) for name in names if (value := fields.take(name)) is not None}
    searches = parse_count(fields.take("web_search_count") or fields.take("server_tool_use.web_search_requests"))
    unread = find_unreadable(result, names) + find_unread_counts(result, names)
    if not any(counts.values()) and not searches and not unread:
        return None
    tokens = {names[name]: count for name, count in counts.items()}
    fields.usage(make_usage(tokens, {}, counts, unread=unread, quantities={"web_searches": searches}))
    for column, field in (
        ("model_version", "model"), ("model", "model"), ("workspace", "project"), ("workspace_id", "project"),
        ("api_key", "key"), ("api_key_id", "key"), ("account_id", "user"), ("usage_type", "service_tier"),
        ("service_tier", "service_tier"), ("speed", "speed"),
    ):  # fmt: skip
        fields.text(field, fields.take(column), column)
    geography = fields.take("inference_geo")
    if geography != "not_available":
        fields.text("geography", geography, "inference_geo")
    fields.tag("service_account", fields.take("service_account_id"))
    window = fields.take("context_window")
    if window is not None and (tier := parse_window(window)) is None:
        fields.leave_out("context_window")
    elif window is not None:
        fields.data["context_tier"] = tier
    end = parse_time(fields.take("ending_at"))
    has_hours = len(str(result.get("usage_date_utc") or "").strip()) > len("2026-11-02")
    period_s = (HOUR_S if has_hours else DAY_S) if is_console else int((end - start).total_seconds()) if end else 0
    if period_s > 0:
        fields.data["period_s"] = period_s
    fields.data["revision"] = sum(count or 0 for count in counts.values()) + (searches or 0)
    parts = ["" if is_absent(value := result.get(name)) else _part(name, value) for name in DIMENSIONS]
    if (tier := fields.data.get("context_tier")) is not None:
        parts[DIMENSIONS.index("context_window")] = str(tier)  # the console has written it in several ways
    return SourceEvent(join_identity([start.isoformat(), str(period_s), *parts]), start, fields.finish())


def _part(name: str, value: Any) -> str:
    text = parse_text(value) or ""
    return blake2b(text.encode(), digest_size=8).hexdigest() if name in PERSONS else text


def parse_window(value: Any) -> int | None:
    """Return the input tokens above which a context window's prices begin: 0 for ``≤ 200k`` and ``0-200k``, 200,000 for
    ``> 200k`` and ``200k-1M``. None for any other text."""
    match = _WINDOW.fullmatch(str(value).replace(" ", "").replace(",", "").lower())
    if match is None:
        return None
    if match["most"]:
        return 0
    return int(match["count"]) * {"k": 1_000, "m": 1_000_000}.get(match["unit"] or "", 1)


def _recognises(head: Head) -> bool:
    if head.has("usage_date_utc", "model_version") or head.has("uncached_input_tokens", "output_tokens"):
        return True
    buckets = [row for row in head.rows if {"starting_at", "ending_at", "results"} <= row.keys()]
    results = [result for row in buckets for result in row["results"] or () if isinstance(result, Mapping)]
    return bool(buckets) and (not results or any("uncached_input_tokens" in result for result in results))


FORMAT = Format(
    name=NAME,
    known_by="columns usage_date_utc and model_version (CSV), or results of the usage report (JSON, JSONL)",
    recognises=_recognises,
    rows=RowSource(lambda name: StatelessReader(read_row), USAGE_FIELDS | {"provider", "context_tier"}),
)
