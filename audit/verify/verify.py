"""Recompute the ledger from the log, and compare with the topic and the warehouse at the positions that both hold."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from functools import cache, lru_cache, partial
from typing import Any, NamedTuple

from clickhouse_connect.driver.client import Client

from audit.verify import from_topic as topic
from audit.verify import from_warehouse, row_checksums
from audit.verify.contracts import open_document
from audit.verify.pricing import Book, Line, Rated
from audit.verify.recompute import EPOCH, FACTS, JudgedLine, Partition
from audit.verify.totals import COUNT_NAMES, Group, Sum, Totals, find_first_difference
from ledger import envelope
from ledger.errors import LogDamaged
from ledger.home.files import read_json, write_atomically
from ledger.home.layout import SINK, VERIFY_REPORT
from ledger.log import PARTITIONS, Log, Record, fold_offset, records, seek_cause
from ledger.log.documents import load_document
from ledger.log.topics import ENTRIES, EVENTS, Topic
from ledger.outcomes import OUTCOMES, RESTATEMENT, REVERSAL
from ledger.pricing.contract import Contract
from ledger.settings import Settings
from ledger.token_classes import QUANTITY_CLASSES, TOKEN_CLASSES

Progress = Callable[[int, int], None]


class Report(NamedTuple):
    """The totals of log, topic and warehouse, and their first difference."""

    log: Totals
    topic: Totals
    warehouse: Totals
    difference: dict[str, Any] | None
    bounds: from_warehouse.Bounds
    behind: int  # records that were not folded or stored when the verification began

    def as_json(self) -> dict[str, Any]:
        sources = {"log": self.log, "topic": self.topic, "warehouse": self.warehouse}
        currencies = sorted(
            {group.currency for totals in sources.values() for group in totals.groups if group.currency}
        )

        def costs(kind: str) -> dict[str, dict[str, str]]:
            return {
                currency: {name: f"{totals.cost(currency, kind):.12f}" for name, totals in sources.items()}
                for currency in currencies
            }

        def quantities(classes: tuple[str, ...]) -> dict[str, dict[str, int]]:
            amounts = {cls: {name: totals.quantity(cls) for name, totals in sources.items()} for cls in classes}
            return {cls: figures for cls, figures in amounts.items() if any(figures.values())}

        return {
            "events": {word: self.log.count_events(word) for word in COUNT_NAMES},
            "tokens": quantities(TOKEN_CLASSES),
            "cost": costs("billed_cost"),
            "difference": self.difference,
            "list_cost": costs("list_cost"),
            "quantities": quantities(QUANTITY_CLASSES),
            "decisions_of_people": sum(times for key, times in self.log.control_counts.items() if key[1] == "control"),
            "ticks": sum(times for key, times in self.log.control_counts.items() if key[1] == "tick"),
            "positions": {str(partition): offset for partition, offset in sorted(self.bounds.items())},
            "behind": self.behind,
        }


def verify(
    settings: Settings, log: Log, client: Client, progress: Progress = lambda record_count, total: None
) -> Report:
    """Compare the totals of log, topic and warehouse. The report is stored for the trust page.

    Every record up to the bounds must have its record on ``tally.entries``, caused by exactly these bytes.
    LogDamaged where the log names a document that it does not hold.
    """
    with localcontext(prec=60):  # sums are exact
        return _verify(settings, log, client, progress)


def _verify(settings: Settings, log: Log, client: Client, progress: Progress) -> Report:
    ends = dict(enumerate(log.ends(EVENTS)))
    bounds = _read_bounds(settings, log, client)
    warehouse_totals = from_warehouse.read_totals(client, bounds)

    @cache
    def load(digest: str) -> Book | Contract:
        packed = load_document(log, digest)
        if packed is None:
            raise LogDamaged(f"the log names the document {digest} and does not hold it: restore it from a copy")
        return open_document(digest, packed)

    topic_totals, log_totals = Totals(), Totals()
    record_difference: dict[str, Any] | None = None
    record_count, total = 0, sum(end + 1 for end in bounds.values())
    for partition, last_offset in sorted(bounds.items()):
        reader = Partition(load, _read_lines(log, partition), partial(records, log, EVENTS, partition))
        entries = records(log, ENTRIES, partition)
        for record in records(log, EVENTS, partition, end=last_offset + 1):
            try:
                _add_record(log_totals, record, list(reader.judge(record)))
            except ValueError as error:  # its envelope was altered
                record_difference = record_difference or _unreadable_difference(EVENTS, record, error)
            derived = next(entries, None)
            if derived is not None and _is_caused_by(derived, record):
                record_difference = record_difference or _add_derived(topic_totals, derived)
            else:
                record_difference = record_difference or _cause_difference(derived, record)
                entries = records(log, ENTRIES, partition, seek_cause(log, ENTRIES, partition, record.offset + 1))
            record_count += 1
            if record_count % 100 == 0:
                progress(record_count, total)
        record_difference = record_difference or _find_surplus_record(next(entries, None), last_offset)
    progress(total, total)
    difference = (
        record_difference
        or find_first_difference(log_totals, topic_totals, warehouse_totals)
        or _find_row_beyond_log(log, from_warehouse.read_greatest_offsets(client))
    )
    behind = sum(ends.values()) - total
    report = Report(log_totals, topic_totals, warehouse_totals, difference, bounds, max(behind, 0))
    document = report.as_json() | {"at": datetime.now(UTC).isoformat(timespec="seconds")}
    write_atomically(VERIFY_REPORT.path(settings.home), json.dumps(document))
    return report


def _read_lines(log: Log, partition: int) -> Callable[[int, int], bytes]:
    """Return a reader of the partition's events by offset and index, for those that corrections refer to. They stand on
    the log: it was read up to there."""

    @lru_cache(maxsize=8)
    def split_record(offset: int) -> list[bytes]:
        records = log.read(EVENTS, partition, offset, max_bytes=1)
        return records[0].value.split(b"\n") if records and records[0].offset == offset else []

    return lambda offset, event_index: split_record(offset)[event_index]


def _read_bounds(settings: Settings, log: Log, client: Client) -> from_warehouse.Bounds:
    """Return the last offset of each partition that the folds have folded and the sink reports as stored.

    The tables do not tell it: a running insert fills them one after the other, and a lost insert leaves no trace. They
    are read only where no sink has reported.
    """
    sink_offsets = read_json(settings.home, SINK, _parse_sink_offsets)
    stored_offsets = from_warehouse.read_greatest_offsets(client) if sink_offsets is None else sink_offsets
    bounds: from_warehouse.Bounds = {}
    for partition in range(PARTITIONS):
        last_offset = min(fold_offset(log, partition) - 1, stored_offsets.get(partition, -1))
        if last_offset >= 0:
            bounds[partition] = last_offset
    return bounds


def _parse_sink_offsets(content: Any) -> from_warehouse.Bounds:
    return {int(partition): int(offset) for partition, offset in content[ENTRIES.name].items()}


def _add_record(totals: Totals, record: Record, judged: list[JudgedLine]) -> None:
    organization = record.organization
    refused = record.refused
    is_relayed = envelope.RELAY_OF in record.headers
    facts = sum(event.kind in FACTS and event.outcome in OUTCOMES for event in judged)
    received = 0 if is_relayed else facts + refused
    frame = (record.partition, record.offset, record.time_ms, organization, record.channel)
    totals.record(organization, received, refused, row_checksums.hash_record(*frame, received, refused))
    for event in judged:
        if is_relayed if event.is_relayed is None else event.is_relayed:
            continue
        owner = event.organization or organization
        identity = _row_identity(record, owner, event)
        amounts = row_checksums.Amounts() if event.rated is None else _amounts(event.rated, event.billing_month)
        checksum = row_checksums.hash_event(identity, event.outcome, event.kind, event.reason, event.original, amounts)
        totals.outcome(owner, event.kind, event.outcome, event.reason, checksum)
        if event.rated is not None:
            for line in event.rated.lines:
                totals.add(_group(identity, event, line), _sum(identity, event, line))


def _row_identity(record: Record, organization: str, event: JudgedLine) -> row_checksums.RowIdentity:
    time_us = None if event.time is None else (event.time - EPOCH) // timedelta(microseconds=1)
    return row_checksums.RowIdentity(
        record.partition,
        record.offset,
        event.event_index,
        record.time_ms,
        organization,
        event.source,
        event.id,
        time_us,
    )


def _amounts(rated: Rated, billing_month: str | None) -> row_checksums.Amounts:
    return row_checksums.Amounts(
        rated.pricing,
        rated.reason,
        rated.tier_basis,
        rated.unknown_tokens,
        rated.greatest_cost,
        rated.saved_cost,
        billing_month,
    )


def _group(identity: row_checksums.RowIdentity, event: JudgedLine, line: Line) -> Group:
    assert event.time and event.rated, "an entry has both"
    model = event.data.get("model_resolved") or event.data.get("model") or ""
    return Group(identity.organization, event.time.date().isoformat(), model, line.name, event.rated.currency or "")


def _sum(identity: row_checksums.RowIdentity, event: JudgedLine, line: Line) -> Sum:
    assert event.rated, "an entry has it"
    costs = line.list_cost, line.contracted_cost, line.effective_cost, line.billed_cost
    figures = (line.name, line.quantity, line.unit_price, *costs, line.greatest_cost)
    original = event.original if event.outcome in (REVERSAL, RESTATEMENT) else None
    change = row_checksums.EntryChange(event.outcome, original, event.billing_month)
    checksum = row_checksums.hash_entry(identity, change, event.data, event.rated.price, figures)
    return Sum(1, checksum, line.quantity, *(cost or Decimal(0) for cost in costs))


def _add_derived(totals: Totals, derived: Record) -> dict[str, Any] | None:
    """Add the lines of a record of the topic. Return a difference where it is not what the folds write."""
    try:
        topic.add_record(totals, derived)
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError) as error:
        return _unreadable_difference(ENTRIES, derived, error)
    return None


def _unreadable_difference(source_topic: Topic, record: Record, error: Exception) -> dict[str, Any]:
    place = {"topic": source_topic.name, "partition": str(record.partition), "offset": str(record.offset)}
    values = {"log": "", "topic": "", "warehouse": ""} | {
        "log" if source_topic is EVENTS else "topic": repr(error)[:200]
    }
    return {"what": "unreadable record", "where": place, **values}


def _is_caused_by(derived: Record, record: Record) -> bool:
    headers = derived.headers
    return (
        headers.get(envelope.CAUSE_OFFSET) == str(record.offset) and headers.get(envelope.CAUSE_HASH) == record.digest()
    )


def _cause_difference(derived: Record | None, record: Record) -> dict[str, Any]:
    place = {"topic": ENTRIES.name, "partition": str(record.partition), "offset": str(record.offset)}
    if derived is None or derived.headers.get(envelope.CAUSE_OFFSET) != str(record.offset):
        return {"what": "record", "where": place, "log": "stands", "topic": "missing", "warehouse": ""}
    return {
        "what": "digest", "where": place, "log": record.digest(), "topic": derived.headers.get(envelope.CAUSE_HASH, ""),
        "warehouse": "",
    }  # fmt: skip


def _find_surplus_record(derived: Record | None, last_offset: int) -> dict[str, Any] | None:
    """Return a difference where the record after the last compared one is caused by a compared position."""
    if derived is None or derived.cause_offset > last_offset:
        return None
    place = {
        "topic": ENTRIES.name,
        "partition": str(derived.partition),
        "offset": derived.headers[envelope.CAUSE_OFFSET],
    }
    return {"what": "record", "where": place, "log": "stands once", "topic": "stands again", "warehouse": ""}


def _find_row_beyond_log(log: Log, stored_offsets: from_warehouse.Bounds) -> dict[str, Any] | None:
    """Return a difference where the warehouse has rows beyond the log's end, which is read last as the log may grow."""
    for partition, offset in sorted(stored_offsets.items()):
        if offset >= (end := log.end(EVENTS, partition)):
            place = {"partition": str(partition), "offset": str(offset)}
            values = {"log": f"ends before {end}", "topic": "", "warehouse": "stands"}
            return {"what": "row beyond the log", "where": place, **values}
    return None
