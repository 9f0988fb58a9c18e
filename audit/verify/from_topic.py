"""Read the totals of the derived topics, line by line."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from audit.verify import derived_rows, row_checksums
from audit.verify.from_log import SAVE_INTERVAL_S, describe_unreadable
from audit.verify.row_checksums import NO_ATTRIBUTES, NO_DIMENSIONS, EventText, write_amount
from audit.verify.totals import COSTS, Group, Totals
from audit.verify.verified_prefix import Mark, Prefix, load_file, mark_record, save_file
from ledger import envelope
from ledger.log import Log, Record, records, seek_cause
from ledger.log.topics import DERIVED, ENTRIES, EVENTS, Topic
from ledger.outcomes import RESTATEMENT, REVERSAL
from ledger.settings import Settings

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY_US = 86_400_000_000


def add_record(totals: Totals, record: Record) -> None:
    """Add the lines of one record of ``tally.entries`` to the totals."""
    for line in record.value.split(b"\n"):
        fields = json.loads(line)
        if fields["outcome"] == "record":
            names = ("partition", "offset", "accepted_ms", "organization", "channel", "received", "refused")
            record_checksum = row_checksums.hash_record(*(fields[name] for name in names))
            totals.add_record(fields["organization"], fields["received"], fields["refused"], record_checksum)
        else:
            _add_event(totals, fields)


def add_derived(totals: Totals, table: str, record: Record) -> None:
    """Add the lines of one record of ``tally.decisions`` or ``tally.alerts``."""
    for line in record.value.split(b"\n"):
        derived_rows.add_line(totals, table, json.loads(line))


def _add_event(totals: Totals, fields: dict[str, Any]) -> None:
    get = fields.get
    outcome = fields["outcome"]
    original = (fields["original_offset"], fields["original_index"]) if "original_offset" in fields else None
    has_entry = "pricing" in fields
    text = EventText(
        row_checksums.write_identity(
            fields["partition"], fields["offset"], fields["event_index"], fields["accepted_ms"],
            fields["organization"], get("source"), get("id"), get("time_us"), outcome, get("billing_month"),
        ),
        row_checksums.write_dimensions(fields) if has_entry else NO_DIMENSIONS,
        row_checksums.write_columns(map(get, ("currency", "price_document", "price_id", "tier_basis"))),
    )  # fmt: skip
    names = fields["kind"], get("reason"), get("pricing"), get("unpriced_reason")
    amounts = get("unknown_tokens"), write_amount(get("greatest_unpriced_cost")), write_amount(get("saved_cost"))
    attributes = row_checksums.write_attributes(fields) if has_entry else NO_ATTRIBUTES
    checksum = row_checksums.hash_event(text, names, original, amounts, attributes)
    totals.add_outcome(fields["organization"], fields["kind"], outcome, get("reason"), checksum)
    derived_rows.add_line(totals, "events", fields)
    if "lines" not in fields:
        return
    shared = row_checksums.begin_entries(
        text, get("contract_id"), original if outcome in (REVERSAL, RESTATEMENT) else None
    )
    day, model = _read_day(fields["time_us"] // DAY_US), get("model_resolved") or get("model") or ""
    for line in fields["lines"]:
        costs, pico_costs = row_checksums.write_costs([line[name] for name in COSTS])
        figures = (
            line["class"], str(line["quantity"]), write_amount(line["unit_price"]), *costs,
            write_amount(line.get("greatest_cost")),
        )  # fmt: skip
        totals.add_entry(
            Group(fields["organization"], day, model, line["class"], get("currency", "")),
            row_checksums.hash_text(shared + row_checksums.SEPARATOR.join(figures)),
            line["quantity"],
            pico_costs,
        )


@lru_cache(maxsize=1000)
def _read_day(day: int) -> str:
    return (EPOCH + timedelta(days=day)).date().isoformat()


def read_totals(
    settings: Settings, log: Log, number: int, bounds: Mapping[str, int], advance: Callable[[], None]
) -> tuple[Totals, int, dict[str, Any] | None]:
    """Return the totals of a partition's derived topics up to the offset of ``tally.events`` that each has as its
    bound, the number of records of ``tally.events`` that were read for that, and the first difference: every record
    must have its record on ``tally.entries``, and every derived record its cause, with exactly these bytes."""
    reading = _Reading(settings, log, number, bounds)
    count, saved_at = 0, time.monotonic()
    for record in records(log, EVENTS, number, reading.next_offset, bounds[ENTRIES.name] + 1):
        reading.add_caused(record)
        count += 1
        advance()
        if time.monotonic() - saved_at > SAVE_INTERVAL_S:
            reading.save()
            saved_at = time.monotonic()
    reading.finish()
    reading.save()
    return reading.totals, count, reading.difference


class _Reading:
    """The derived records of a partition, read in the order of their causes."""

    def __init__(self, settings: Settings, log: Log, number: int, bounds: Mapping[str, int]) -> None:
        self._settings, self._log, self._number, self._bounds = settings, log, number, bounds
        self.totals = Totals()
        self.difference: dict[str, Any] | None = None
        self._marks: dict[str, Mark] = {}
        prefix = load_file(settings, log, number)
        self._is_kept = True
        if prefix is not None and prefix.marks[EVENTS.name].offset <= bounds[ENTRIES.name]:
            self._marks = dict(prefix.marks)
            self.totals = Totals.from_json(prefix.content["totals"])
        elif prefix is not None:
            self._is_kept = False  # the warehouse is behind what was verified; that stays for when it has come so far
        self.next_offset = self._marks[EVENTS.name].offset + 1 if EVENTS.name in self._marks else 0
        self._records = {topic: self._begin(topic) for topic in DERIVED}
        self._next = {topic: next(self._records[topic], None) for topic in DERIVED}

    def _begin(self, topic: Topic) -> Iterator[Record]:
        mark = self._marks.get(topic.name)
        return records(self._log, topic, self._number, 0 if mark is None else mark.offset + 1)

    def add_caused(self, record: Record) -> None:
        """Add what a record caused."""
        digest = record.digest()
        for topic in DERIVED:
            if record.offset <= self._bounds.get(topic.name, -1):
                self._add_caused(topic, record, digest)
        self._marks[EVENTS.name] = Mark(record.offset, digest)

    def _add_caused(self, topic: Topic, record: Record, digest: str) -> None:
        derived = self._next[topic]
        offset = None if derived is None else derived.headers.get(envelope.CAUSE_OFFSET)
        if derived is not None and offset == str(record.offset) and derived.headers.get(envelope.CAUSE_HASH) == digest:
            self._add_derived(topic, derived)
            self._next[topic] = next(self._records[topic], None)
        elif topic is ENTRIES or (derived is not None and derived.cause_offset <= record.offset):
            self.difference = self.difference or _describe_cause(topic, derived, record, digest)
            self._records[topic] = records(
                self._log, topic, self._number, seek_cause(self._log, topic, self._number, record.offset + 1)
            )
            self._next[topic] = next(self._records[topic], None)

    def _add_derived(self, topic: Topic, derived: Record) -> None:
        try:
            if topic is ENTRIES:
                add_record(self.totals, derived)
            else:
                add_derived(self.totals, topic.name.removeprefix("tally."), derived)
        except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError) as error:
            self.difference = self.difference or describe_unreadable(derived, error, topic.name)
        self._marks[topic.name] = mark_record(derived)

    def finish(self) -> None:
        """Find a record after the last compared one that is caused by a compared position."""
        for topic, derived in self._next.items():
            bound = self._bounds.get(topic.name, -1)
            if derived is not None and derived.cause_offset <= bound and self.difference is None:
                place = {"topic": topic.name, "partition": str(self._number), "offset": str(derived.cause_offset)}
                values = {"log": "stands once", "topic": "stands again", "warehouse": ""}
                self.difference = {"what": "record", "where": place, **values}

    def save(self) -> None:
        """Keep what was read, unless it differs, or a later prefix is kept."""
        is_even = all(self._bounds.get(topic.name, -1) >= self._bounds[ENTRIES.name] for topic in DERIVED)
        if self.difference is None and self._is_kept and is_even and EVENTS.name in self._marks:
            save_file(self._settings, self._number, Prefix(self._marks, {"totals": self.totals.as_json()}))


def _describe_cause(topic: Topic, derived: Record | None, record: Record, digest: str) -> dict[str, Any]:
    place = {"topic": topic.name, "partition": str(record.partition), "offset": str(record.offset)}
    if derived is None or derived.headers.get(envelope.CAUSE_OFFSET) != str(record.offset):
        values = {"log": "stands", "topic": "missing" if topic is ENTRIES else "stands again", "warehouse": ""}
        return {"what": "record", "where": place, **values}
    cause_hash = derived.headers.get(envelope.CAUSE_HASH, "")
    return {"what": "digest", "where": place, "log": digest, "topic": cause_hash, "warehouse": ""}
