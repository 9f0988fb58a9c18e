"""Langfuse's observations: the export of its pages (CSV, JSON), of its API, and of blob storage.

Source: langfuse.com, *Blob storage export field reference* and the API's ``ObservationsView``. Generations and
embeddings are calls; other observations are not. Details of usage lie beside ``input`` and ``output`` or inside them,
as each integration wrote them: the reading that sums to ``total`` is taken, and usage is unknown where none does.
Inputs, outputs and status messages are never read; of ``metadata`` only ``tallystick.*`` keys.
"""

import re
from collections.abc import Mapping
from typing import Any

from ingest.adapters.adapter import USAGE_FIELDS, Format, Row, RowSource, SourceEvent, StatelessReader
from ingest.adapters.cells import is_absent, parse_count, parse_list, parse_object, parse_time
from ingest.adapters.fields import Fields
from ingest.adapters.head import Head
from ingest.adapters.token_usage import make_usage
from ledger.token_classes import INPUT_CLASSES

NAME = "langfuse-observations"
CALL_TYPES = ("generation", "embedding")
INPUT_NAMES = ("input", "prompt", "input_tokens", "prompt_tokens", "inputtokens", "prompttokens", "input_text")
OUTPUT_NAMES = ("output", "completion", "output_tokens", "completion_tokens", "outputtokens", "completiontokens")
TOTAL_NAMES = ("total", "total_tokens", "totaltokens")
NOT_READ = (
    "input", "output", "statusmessage", "name", "metadata", "bookmarked", "public", "createdat", "updatedat",
    "internalmodelid", "modelid", "inputprice", "outputprice", "totalprice", "inputcost", "outputcost", "costdetails",
    "calculatedinputcost", "calculatedoutputcost", "usagedetails", "usage", "unit", "tracename", "promptid", "scores",
    "version", "release", "comments", "type", "level", "tokens", "providedusagedetails", "providedcostdetails",
    "toolcallcount", "tooldefinitions", "toolcalls", "usagepricingtierid", "usagepricingtiername", "hasparent",
    "modelparameters", "inputusage", "outputusage", "totalusage", "inputtokens", "outputtokens", "totaltokens",
    "prompttokens", "completiontokens", "traceid", "endtime", "completionstarttime", "totalcost", "latency",
    "calculatedtotalcost",
)  # fmt: skip


def _normalize(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def read_row(row: Row) -> list[SourceEvent]:
    row = {_normalize(name): value for name, value in row.items()}
    kind = str(row.get("type") or "generation").lower()
    if kind not in CALL_TYPES:
        return []
    fields = Fields(row, adapter=NAME, adapter_version="1", ingress="telemetry")
    time = fields.time("starttime", "timestamp")
    id = fields.identity("id")
    metadata = parse_object(row.get("metadata"))
    fields.attributes(metadata)
    fields.usage(read_details(_find_details(row)))
    parameters = parse_object(row.get("modelparameters"))
    fields.count("max_tokens", parameters.get("max_tokens", parameters.get("maxTokens")), "modelParameters.max_tokens")
    fields.text("service_tier", parameters.get("service_tier"), "modelParameters.service_tier")
    for column, field in (
        ("model", "model"), ("providedmodelname", "model"), ("userid", "user"), ("sessionid", "session"),
        ("traceid", "session"), ("environment", "environment"), ("promptname", "prompt"),
        ("promptversion", "prompt_version"), ("parentobservationid", "parent_call"), ("projectid", "project"),
    ):  # fmt: skip
        fields.text(field, fields.take(column), column)
    fields.data.setdefault("operation", "embeddings" if kind == "embedding" else "chat")
    fields.labels(parse_list(fields.take("tags") or fields.take("tracetags")), "tags")
    costs = parse_object(row.get("costdetails"))
    total_cost = next(
        (cost for cost in (costs.get("total"), row.get("totalcost"), row.get("calculatedtotalcost")) if cost), None
    )
    fields.claim(total_cost, "costDetails.total")
    if row.get("level") is not None:
        fields.data["status"] = "error" if row["level"] == "ERROR" else "ok"
    _fill_times(fields, row, time)
    return [SourceEvent(id, time, fields.finish(skip=NOT_READ))]


def _fill_times(fields: Fields, row: Row, start: Any) -> None:
    end, first_token = parse_time(row.get("endtime")), parse_time(row.get("completionstarttime"))
    if end is not None and end >= start:
        fields.milliseconds("latency_ms", str((end - start).total_seconds()), "endTime", 1000)
    if first_token is not None and first_token >= start:
        seconds = str((first_token - start).total_seconds())
        fields.milliseconds("time_to_first_token_ms", seconds, "completionStartTime", 1000)
    fields.ignore(["timetofirsttoken"])


def _find_details(row: Row) -> dict[str, Any]:
    """Return the counts of usage by name, from an object or from columns of their own."""
    for name in ("usagedetails", "usage"):
        cell = row.get(name)
        details = parse_object(cell.replace("'", '"') if isinstance(cell, str) else cell)  # ClickHouse quotes so
        if not details and not is_absent(cell) and cell not in ({}, "{}"):
            return {name: cell}
        if any(parse_count(value) is not None for value in details.values()):
            return {key: value for key, value in details.items() if not key.lower().endswith("cost") and key != "unit"}
    columns = {
        "input": ("inputusage", "inputtokens", "prompttokens"),
        "output": ("outputusage", "outputtokens", "completiontokens"),
        "total": ("totalusage", "totaltokens"),
    }
    return {
        name: value for name, keys in columns.items() if (value := next((row[k] for k in keys if row.get(k)), None))
    }


def read_details(details: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of usage of ``usageDetails``: of details beside the two counts, or inside them."""
    counts: dict[str, int] = {}
    unread: list[str] = []
    total: int | None = None
    for key, value in details.items():
        count, name = parse_count(value), key.lower()
        if count is None:
            unread += [key] if value is not None else []
        elif name in TOTAL_NAMES:
            total = count
        elif (token_class := classify_detail(name)) is not None:
            counts[token_class] = counts.get(token_class, 0) + count
        elif count:
            unread.append(key)
    totals = {"total": total}
    beside, inside = counts, _subtract_details(counts)
    readings = [beside] if beside == inside else [beside, inside]
    fitting = [tokens for tokens in readings if total is not None and sum(tokens.values()) == total]
    if len(fitting) == 1 and min(fitting[0].values(), default=0) >= 0:
        return make_usage(fitting[0], totals, details, unread=unread)
    if len(readings) == 1 and total is None:
        return make_usage(beside, {}, details, unread=unread)
    return make_usage(beside, totals, details, unread=unread or list(counts))


def _subtract_details(counts: Mapping[str, int]) -> dict[str, int]:
    tokens = dict(counts)
    for name, count in counts.items():
        if name not in ("input", "output"):
            total = "input" if name in INPUT_CLASSES else "output"
            tokens[total] = tokens.get(total, 0) - count
    return tokens


def classify_detail(name: str) -> str | None:
    """Return the token class that a name of ``usageDetails`` means; None where it means none."""
    if name in INPUT_NAMES:
        return "input"
    if name in OUTPUT_NAMES:
        return "output"
    if "reasoning" in name or "thought" in name or "thinking" in name:
        return "reasoning"
    kind = "_audio" if "audio" in name else "_image" if "image" in name else ""
    if "cache" in name:
        if "creat" in name or "write" in name:
            return "cache_write_1h" if "1h" in name else "cache_write_5m" if "5m" in name else "cache_write"
        return f"cache_read{kind}"
    if kind:
        return f"output{kind}" if "output" in name or "completion" in name else f"input{kind}"
    return None


def _recognises(head: Head) -> bool:
    names = [frozenset(map(_normalize, row)) for row in (head.header, *head.rows)]
    usage = {"usagedetails", "usage", "inputusage", "inputtokens", "prompttokens"}
    return any({"id", "traceid", "starttime"} <= row and usage & row and "calltype" not in row for row in names)


FORMAT = Format(
    name=NAME,
    known_by="id, traceId, startTime and usageDetails, in any spelling (CSV, JSON, JSONL)",
    recognises=_recognises,
    rows=RowSource(lambda name: StatelessReader(read_row), USAGE_FIELDS),
)
