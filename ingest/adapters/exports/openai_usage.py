"""OpenAI's organization usage: pages of the API, their results flattened a line, or the dashboard's CSV.

Source: OpenAI's API reference, *Usage* (completions, embeddings, moderations, images, audio speeches, audio
transcriptions). Each row sums the requests of a minute, hour or day. ``input_tokens`` includes cached tokens. Token
counts by modality are read where they sum to the totals; where nothing tells whether audio or images lie in the totals
or beside them, usage is unknown.
"""

from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import Any

from ingest.adapters.adapter import USAGE_FIELDS, Format, Read, Row, RowSource, SourceEvent, StatelessReader
from ingest.adapters.cells import is_absent, is_true, parse_count, parse_text, parse_time
from ingest.adapters.fields import Fields
from ingest.adapters.head import Head
from ingest.adapters.identity import join_identity
from ingest.adapters.token_usage import find_unread_counts, make_usage
from ingest.intake.rejection import Rejection

NAME = "openai-usage"
NO_CALLS = ("vector_stores", "code_interpreter_sessions", "file_search", "web_search")
"""Kinds of results that are no calls to a model."""
DIMENSIONS = ("project_id", "user_id", "api_key_id", "model", "batch", "service_tier", "size", "source")
_INPUTS, _CACHED, _OUTPUTS = (
    tuple(f"{prefix}_{kind}_tokens" for kind in ("text", "audio", "image"))
    for prefix in ("input", "input_cached", "output")
)
COUNTS = (
    "input_tokens", "input_cached_tokens", "input_uncached_tokens", "input_cache_write_tokens", "output_tokens",
    *_INPUTS, *_CACHED, *_OUTPUTS,
)  # fmt: skip


def read_row(row: Row) -> Read:
    results = row.get("results")
    if isinstance(results, list):
        for result in results:
            if isinstance(result, Mapping):
                yield from _read_result({**result, **{name: row.get(name) for name in ("start_time", "end_time")}})
        return
    result = row.get("result")
    yield from _read_result({**row, **result} if isinstance(result, Mapping) else row)


def _read_result(result: Row) -> Iterator[SourceEvent | Rejection]:
    try:
        if event := _read_event(result):
            yield event
    except Rejection as rejection:
        yield rejection


def _read_event(result: Row) -> SourceEvent | None:
    kind = str(result.get("object") or "").removeprefix("organization.").removeprefix("usage.").removesuffix(".result")
    if kind == "costs" or "amount" in result:
        raise Rejection("amount", "is a cost: these are OpenAI's costs, and no usage of calls")
    if any(kind.startswith(name) for name in NO_CALLS):
        return None
    fields = Fields(result, adapter=NAME, adapter_version="1", ingress="telemetry", provider="openai")
    start = fields.time("start_time", "start_time_iso")
    end = parse_time(fields.take("end_time") or fields.take("end_time_iso"))
    calls = parse_count(fields.take("num_model_requests"))
    counts = {name: parse_count(value) for name in COUNTS if (value := fields.take(name)) is not None}
    quantities = {name: parse_count(fields.take(name)) for name in ("images", "characters", "seconds")}
    if not calls and not any(counts.values()) and not any(quantities.values()):
        return None
    fields.usage(_read_usage(counts, quantities, find_unread_counts(result, COUNTS)))
    fields.text("operation", kind or None, "object")
    for column, field in (
        ("model", "model"), ("project_id", "project"), ("project_name", "project"), ("user_id", "user"),
        ("user_email", "user"), ("api_key_id", "key"), ("api_key_name", "key"),
    ):  # fmt: skip
        fields.text(field, fields.take(column), column)
    if is_true(fields.take("batch")):
        fields.data["service_tier"] = "batch"
    fields.text("service_tier", fields.take("service_tier"), "service_tier")
    for column in ("size", "source"):
        fields.tag(f"image_{column}", fields.take(column))
    if calls:
        fields.data["calls"] = calls
    if end is not None and end > start:
        fields.data["period_s"] = int((end - start).total_seconds())
    fields.data["revision"] = (calls or 0) + sum(
        count or 0 for count in (counts.get("input_tokens"), counts.get("output_tokens"), *quantities.values())
    )
    id = join_identity([kind, start.isoformat(), end.isoformat() if end else "", *map(_part(result), DIMENSIONS)])
    skip = ("start_time_iso", "end_time_iso", "object", "result", "num_requests")
    return SourceEvent(id, start, fields.finish(skip=skip))


def _part(result: Row) -> Any:
    def part(name: str) -> str:
        value = result.get(name)
        if is_absent(value):
            return ""
        text = parse_text(value) or ""
        if name == "user_id":  # a random id of a person
            return blake2b(text.encode(), digest_size=8).hexdigest()
        return text.lower() if name == "batch" else text

    return part


def _read_usage(
    counts: Mapping[str, int | None], quantities: Mapping[str, int | None], unread: list[str]
) -> dict[str, Any]:
    total, cached = counts.get("input_tokens"), counts.get("input_cached_tokens") or 0
    output = counts.get("output_tokens")
    totals = {"input": total, "output": output}
    if None in counts.values():
        return make_usage({}, totals, counts, unread=[name for name, count in counts.items() if count is None])
    cache_write = counts.get("input_cache_write_tokens") or 0
    _, cached_audio, cached_image = (counts.get(name) or 0 for name in _CACHED)
    tokens: dict[str, int | None] = {
        "cache_read": cached - cached_audio - cached_image,
        "cache_read_audio": cached_audio,
        "cache_read_image": cached_image,
        "cache_write": cache_write,
    }
    if total is not None:
        uncached = _read_uncached(total, cached, counts.get("input_uncached_tokens"), cache_write)
        inputs = _split(uncached, total, counts, _INPUTS, (cached_audio, cached_image))
        outputs = _split(output or 0, output or 0, counts, _OUTPUTS, (0, 0))
        if uncached is None or inputs is None or outputs is None:
            return make_usage(tokens, totals, counts, unread=["input_tokens"], quantities=quantities)
        tokens["input"], tokens["input_audio"], tokens["input_image"] = inputs
        tokens["input"] = (tokens["input"] or 0) - cache_write
        if output is not None:
            tokens["output"], tokens["output_audio"], tokens["output_image"] = outputs
    elif not any(counts.values()):
        tokens = {}
    return make_usage(tokens, totals, counts, unread=unread, quantities=quantities)


def _read_uncached(total: int, cached: int, uncached: int | None, cache_write: int) -> int | None:
    """Return the input that was not read from the cache, written to it or not; None where the counts contradict each
    other."""
    if uncached in (None, total - cached):
        return total - cached
    return total - cached if uncached == total - cached - cache_write else None


def _split(
    uncached: int | None, total: int, counts: Mapping[str, int | None], names: tuple[str, ...], cached: tuple[int, int]
) -> tuple[int, int, int] | None:
    """Split a count into text, audio and images: parts sum to it without the cache, or to the total with it. None where
    neither holds, or where nothing tells."""
    if uncached is None:
        return None
    text, audio, image = (counts.get(name) for name in names)
    if not audio and not image:
        return uncached, 0, 0
    if text is None:
        return None
    parts = text + (audio or 0) + (image or 0)
    if parts == uncached:
        return text, audio or 0, image or 0
    if parts == total:
        audio, image = (audio or 0) - cached[0], (image or 0) - cached[1]
        return uncached - audio - image, audio, image
    return None


def _recognises(head: Head) -> bool:
    if head.has("start_time", "num_model_requests"):
        return True
    rows = [item for row in head.rows for item in (row.get("results") or [row.get("result")])]
    is_empty = any(row.get("object") == "bucket" and "start_time" in row for row in head.rows)
    return is_empty or any(isinstance(item, Mapping) and "num_model_requests" in item for item in rows)


FORMAT = Format(
    name=NAME,
    known_by="columns start_time and num_model_requests (CSV), or buckets or results of the usage API (JSON, JSONL)",
    recognises=_recognises,
    rows=RowSource(lambda name: StatelessReader(read_row), USAGE_FIELDS | {"provider"}),
)
