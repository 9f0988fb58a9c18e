"""Cursor's usage events, the CSV of its dashboard.

Source: cursor.com, *Dashboard, Usage, Export CSV*. ``Input (w/ Cache Write)`` stands beside ``Input (w/o Cache
Write)`` or includes it: the reading that sums to ``Total Tokens`` is taken. A cost that is no amount (``Included``,
``-``) is left out.
"""

from collections import Counter

from ingest.adapters.adapter import USAGE_FIELDS, Format, Read, Row, RowSource, SourceEvent
from ingest.adapters.cells import parse_count, parse_text
from ingest.adapters.fields import Fields
from ingest.adapters.identity import join_identity
from ingest.adapters.token_usage import find_unreadable, make_usage

NAME = "cursor-usage"
WRITTEN, UNWRITTEN = "Input (w/ Cache Write)", "Input (w/o Cache Write)"
COUNTS = (WRITTEN, UNWRITTEN, "Cache Read", "Output Tokens", "Total Tokens")
COSTS = ("Cost", "Cost ($)", "Cost to you")


class Reader:
    """Reads rows, and counts those that agree in time and model, which have no id."""

    def __init__(self) -> None:
        self._occurrences: Counter[tuple[str, str]] = Counter()

    def read(self, row: Row) -> Read:
        fields = Fields(row, adapter=NAME, adapter_version="1", ingress="telemetry", provider="cursor")
        time = fields.time("Date")
        written, unwritten, cached, output, total = (parse_count(fields.take(name)) for name in COUNTS)
        counts = {name: row.get(name) for name in COUNTS}
        unread = find_unreadable(row, COUNTS)
        parts = (unwritten or 0) + (cached or 0) + (output or 0)
        is_inclusive = total is not None and total == (written or 0) + (cached or 0) + (output or 0) != parts
        cache_write = (written or 0) - (unwritten or 0) if is_inclusive else written
        tokens = {"input": unwritten, "cache_write": cache_write, "cache_read": cached, "output": output}
        fields.usage(make_usage(tokens, {"total": total}, counts, unread=unread))
        fields.text("model", fields.take("Model"), "Model")
        fields.text("user", fields.take("User"), "User")
        fields.text("agent", fields.take("Cloud Agent ID"), "Cloud Agent ID")
        kind = parse_text(fields.take("Kind"))
        fields.tag("kind", kind)
        fields.tag("max_mode", fields.take("Max Mode"))
        fields.tag("automation", fields.take("Automation ID"))
        fields.data["status"] = "error" if kind and kind.lower().startswith(("errored", "aborted")) else "ok"
        for column in COSTS:
            fields.claim(fields.take(column), column)
        fields.data["revision"] = total if total is not None else parts
        key = (time.isoformat(), parse_text(row.get("Model")) or "")
        self._occurrences[key] += 1
        id = join_identity([*key, str(self._occurrences[key])])
        return [SourceEvent(id, time, fields.finish())]

    def finish(self) -> Read:
        return ()


FORMAT = Format(
    name=NAME,
    known_by="columns Date, Model, Cache Read, Output Tokens, Total Tokens (CSV)",
    recognises=lambda head: head.container == "csv" and head.has("Date", "Model", "Cache Read", "Output Tokens"),
    rows=RowSource(lambda name: Reader(), USAGE_FIELDS | {"provider", "status"}),
)
