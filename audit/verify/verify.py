"""Recompute from the log, and compare with the topic and the warehouse at the positions both had reached."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from functools import cache
from typing import Any, NamedTuple

from clickhouse_connect.driver.client import Client

from audit.verify import from_topic as topic
from audit.verify import from_warehouse, row_checksums
from audit.verify.pricing import Book, Line
from audit.verify.recompute import EPOCH, FACTS, Judged, Partition
from audit.verify.totals import WORDS, Group, Sum, Totals, first_difference
from ledger.errors import LogDamaged
from ledger.home.files import read_json, write_atomically
from ledger.home.layout import SINK, VERIFIED
from ledger.log import PARTITIONS, Log, Record, cause_offset, folded, records, seek_cause
from ledger.log.documents import load
from ledger.log.topics import ENTRIES, EVENTS, Topic
from ledger.pricing.price_book import opened
from ledger.settings import Settings
from ledger.token_classes import QUANTITY_CLASSES, TOKEN_CLASSES

Progress = Callable[[int, int], None]


class Report(NamedTuple):
    """The three totals, and the first difference between them."""

    log: Totals
    topic: Totals
    warehouse: Totals
    difference: dict[str, Any] | None
    bounds: from_warehouse.Bounds
    behind: int  # records that the folds or the sink had not reached when it began

    def as_json(self) -> dict[str, Any]:
        three = {"log": self.log, "topic": self.topic, "warehouse": self.warehouse}
        currencies = sorted({group.currency for one in three.values() for group in one.groups if group.currency})

        def costs(kind: str) -> dict[str, dict[str, str]]:
            return {
                currency: {name: f"{one.cost(currency, kind):.12f}" for name, one in three.items()}
                for currency in currencies
            }

        def quantities(classes: tuple[str, ...]) -> dict[str, dict[str, int]]:
            said = {cls: {name: one.quantity(cls) for name, one in three.items()} for cls in classes}
            return {cls: figures for cls, figures in said.items() if any(figures.values())}

        return {
            "events": {word: self.log.word(word) for word in WORDS},
            "tokens": quantities(TOKEN_CLASSES),
            "cost": costs("billed_cost"),
            "difference": self.difference,
            "list_cost": costs("list_cost"),
            "quantities": quantities(QUANTITY_CLASSES),
            "decisions_of_people": sum(times for key, times in self.log.others.items() if key[1] == "control"),
            "ticks": sum(times for key, times in self.log.others.items() if key[1] == "tick"),
            "positions": {str(partition): offset for partition, offset in sorted(self.bounds.items())},
            "behind": self.behind,
        }


def verify(settings: Settings, log: Log, client: Client, progress: Progress = lambda done, total: None) -> Report:
    """Prove the figures, or tell the first that is not the same. The report is kept for the trust page.

    Every record up to the bounds must have its record on ``tally.entries``, caused by exactly these bytes.
    LogDamaged where the log lacks a document that it names.
    """
    with localcontext(prec=60):  # sums are exact
        return _verify(settings, log, client, progress)


def _verify(settings: Settings, log: Log, client: Client, progress: Progress) -> Report:
    ends = dict(enumerate(log.ends(EVENTS)))
    bounds = _bounds(settings, log, client)
    warehouse = from_warehouse.totals(client, bounds)

    @cache
    def book(digest: str) -> Book:
        packed = load(log, digest)
        if packed is None:
            raise LogDamaged(f"the log names the document {digest} and does not hold it: restore it from a copy")
        return Book(digest, opened(digest, packed))

    said, recomputed = Totals(), Totals()
    missing: dict[str, Any] | None = None
    done, total = 0, sum(end + 1 for end in bounds.values())
    for partition, bound in sorted(bounds.items()):
        reader = Partition(book)
        entries = records(log, ENTRIES, partition)
        for record in records(log, EVENTS, partition, end=bound + 1):
            try:
                _add(recomputed, record, list(reader.judge(record)))
            except ValueError as error:  # its envelope was altered
                missing = missing or _unreadable(EVENTS, record, error)
            derived = next(entries, None)
            if derived is not None and _caused(derived, record):
                missing = missing or _add_derived(said, derived)
            else:
                missing = missing or _not_caused(derived, record)
                entries = records(log, ENTRIES, partition, seek_cause(log, ENTRIES, partition, record.offset + 1))
            done += 1
            if done % 100 == 0:
                progress(done, total)
        missing = missing or _too_much(next(entries, None), bound)
    progress(total, total)
    difference = (
        missing or first_difference(recomputed, said, warehouse) or _beyond(log, from_warehouse.greatest(client))
    )
    behind = sum(ends.values()) - total
    report = Report(recomputed, said, warehouse, difference, bounds, max(behind, 0))
    kept = report.as_json() | {"at": datetime.now(UTC).isoformat(timespec="seconds")}
    write_atomically(VERIFIED.path(settings.home), json.dumps(kept))
    return report


def _bounds(settings: Settings, log: Log, client: Client) -> from_warehouse.Bounds:
    """The last offset of each partition that the folds have reached, and the sink says it stored.

    The tables do not say it: an insert that is under way fills one after the other, and one that was lost shows no
    trace. They are asked only where no sink has said anything.
    """
    told = read_json(settings.home, SINK, _stored_entries)
    said = from_warehouse.greatest(client) if told is None else told
    bounds: from_warehouse.Bounds = {}
    for partition in range(PARTITIONS):
        reached = min(folded(log, partition) - 1, said.get(partition, -1))
        if reached >= 0:
            bounds[partition] = reached
    return bounds


def _stored_entries(content: Any) -> from_warehouse.Bounds:
    return {int(partition): int(offset) for partition, offset in content[ENTRIES.name].items()}


def _add(totals: Totals, record: Record, judged: list[Judged]) -> None:
    organization = record.headers.get("organization", record.key)
    refused = int(record.headers.get("refused", "0"))
    relayed = "relay_of" in record.headers
    received = 0 if relayed else sum(one.kind in FACTS for one in judged) + refused
    frame = (record.partition, record.offset, record.time_ms, organization, record.headers.get("channel", ""))
    totals.record(organization, received, refused, row_checksums.record(*frame, received, refused))
    for one in judged:
        if relayed:
            continue
        of = _of(record, organization, one)
        said = row_checksums.event(of, one.outcome, one.kind, one.reason, one.first)
        totals.outcome(organization, one.kind, one.outcome, said)
        if one.rated is not None:
            for line in one.rated.lines:
                totals.add(_group(of, one, line), _sum(of, one, line))


def _of(record: Record, organization: str, one: Judged) -> row_checksums.Of:
    time_us = None if one.time is None else (one.time - EPOCH) // timedelta(microseconds=1)
    return row_checksums.Of(
        record.partition, record.offset, one.event_index, record.time_ms, organization, one.source, one.id, time_us
    )


def _group(of: row_checksums.Of, one: Judged, line: Line) -> Group:
    assert one.time and one.rated, "an entry has both"
    model = one.data.get("model_resolved") or one.data.get("model") or ""
    return Group(of.organization, one.time.date().isoformat(), model, line.name, one.rated.currency or "")


def _sum(of: row_checksums.Of, one: Judged, line: Line) -> Sum:
    assert one.rated, "an entry has it"
    cost, billed = line.list_cost, line.billed_cost
    figures = (line.name, line.quantity, line.unit_price, cost, cost, cost, billed)
    said = row_checksums.entry(of, one.data, one.rated[1:], figures)
    list_cost = cost or Decimal(0)
    return Sum(1, said, line.quantity, list_cost, list_cost, list_cost, billed or Decimal(0))


def _add_derived(totals: Totals, derived: Record) -> dict[str, Any] | None:
    """Add what a record of the topic says; the difference where it cannot be read as what the folds write."""
    try:
        topic.add(totals, derived)
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError) as error:
        return _unreadable(ENTRIES, derived, error)
    return None


def _unreadable(of: Topic, record: Record, error: Exception) -> dict[str, Any]:
    where = {"topic": of.name, "partition": str(record.partition), "offset": str(record.offset)}
    said = {"log": "", "topic": "", "warehouse": ""} | {"log" if of is EVENTS else "topic": repr(error)[:200]}
    return {"what": "unreadable record", "where": where, **said}


def _caused(derived: Record, record: Record) -> bool:
    headers = derived.headers
    return headers.get("cause_offset") == str(record.offset) and headers.get("cause_hash") == record.digest()


def _not_caused(derived: Record | None, record: Record) -> dict[str, Any]:
    where = {"topic": ENTRIES.name, "partition": str(record.partition), "offset": str(record.offset)}
    if derived is None or derived.headers.get("cause_offset") != str(record.offset):
        return {"what": "record", "where": where, "log": "stands", "topic": "missing", "warehouse": ""}
    return {
        "what": "digest", "where": where, "log": record.digest(), "topic": derived.headers.get("cause_hash", ""),
        "warehouse": "",
    }  # fmt: skip


def _too_much(derived: Record | None, bound: int) -> dict[str, Any] | None:
    """What stands behind the record of the last position that is compared must be caused later."""
    if derived is None or cause_offset(derived) > bound:
        return None
    where = {"topic": ENTRIES.name, "partition": str(derived.partition), "offset": derived.headers["cause_offset"]}
    return {"what": "record", "where": where, "log": "stands once", "topic": "stands again", "warehouse": ""}


def _beyond(log: Log, filled: from_warehouse.Bounds) -> dict[str, Any] | None:
    """Whether the warehouse holds what follows from no record. The log may grow meanwhile: so it is asked last."""
    for partition, offset in sorted(filled.items()):
        if offset >= (end := log.end(EVENTS, partition)):
            where = {"partition": str(partition), "offset": str(offset)}
            said = {"log": f"ends before {end}", "topic": "", "warehouse": "stands"}
            return {"what": "row beyond the log", "where": where, **said}
    return None
