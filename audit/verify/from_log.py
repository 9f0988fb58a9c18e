"""Recompute the totals of a partition from ``tally.events``, from its verified prefix on."""

import time
from collections.abc import Callable
from datetime import timedelta
from functools import cache, lru_cache, partial
from typing import Any

from audit.verify import row_checksums
from audit.verify.contracts import open_document
from audit.verify.pricing import Book, Line
from audit.verify.recompute import EPOCH, FACTS, JudgedLine, Partition
from audit.verify.rights.decisions import Decision, list_differences, read_decisions
from audit.verify.rights.partition_rights import PartitionRights
from audit.verify.row_checksums import NO_ATTRIBUTES, NO_DIMENSIONS, SEPARATOR, EventText, write_amount
from audit.verify.totals import Group, Totals
from audit.verify.verified_prefix import Mark, Prefix, mark_record, open_database
from ledger import envelope
from ledger.errors import LogDamaged
from ledger.log import Log, Record, records
from ledger.log.documents import load_document
from ledger.log.topics import DECISIONS, EVENTS
from ledger.outcomes import OUTCOMES, RESTATEMENT, REVERSAL
from ledger.pricing.contract import Contract
from ledger.settings import Settings

SAVE_INTERVAL_S = 30
"""Time after which what was read is kept, so that an interrupted verification goes on from there."""
Load = Callable[[str], Book | Contract]


def make_loader(log: Log) -> Load:
    """Return a function that reads a price book or a contract by the hash of its document, once."""

    @cache
    def load(digest: str) -> Book | Contract:
        packed = load_document(log, digest)
        if packed is None:
            raise LogDamaged(f"the log names the document {digest} and does not hold it: restore it from a copy")
        return open_document(digest, packed)

    return load


def recompute_totals(
    settings: Settings, log: Log, load: Load, number: int, last_offset: int, advance: Callable[[], None]
) -> tuple[Totals, int, dict[str, Any] | None]:
    """Return the totals of a partition up to an offset, the number of records that were read for that, and the first
    record that cannot be read, or decision of the topic that the log does not make. ``advance`` is called after each
    record."""
    with open_database(settings, log, number, last_offset) as prefix:
        reader = Partition(load, _make_line_reader(log, number), partial(records, log, EVENTS, number), prefix.database)
        rights = PartitionRights(reader.bound_cost, reader.bound_prices, prefix.database)
        totals, marks = Totals(), dict[str, Mark]()
        if prefix.loaded is not None:
            reader.load_state(prefix.loaded.content["state"])
            rights.load_state(prefix.loaded.content["rights"])
            totals, marks = Totals.from_json(prefix.loaded.content["totals"]), dict(prefix.loaded.marks)
        topic = StoredDecisions(log, number, marks)
        difference: dict[str, Any] | None = None
        record, count, saved_at = None, 0, time.monotonic()

        def save() -> None:
            if record is not None and difference is None:
                states = {"state": reader.dump_state(), "rights": rights.dump_state()}
                prefix.save(Prefix(marks | {EVENTS.name: mark_record(record)}, states | {"totals": totals.as_json()}))

        for record in records(log, EVENTS, number, prefix.last_offset + 1, last_offset + 1):
            try:
                lines = list(reader.judge(record))
                _add_record(totals, record, lines)
                decisions = list(rights.decide(record.time_ms, record.offset, record.organization, lines))
            except ValueError as error:  # its envelope was altered
                difference = difference or describe_unreadable(record, error)
            else:
                difference = difference or topic.find_difference(record, decisions)
                totals.decisions.update(decision.name for decision in decisions)
            count += 1
            advance()
            if time.monotonic() - saved_at > SAVE_INTERVAL_S:
                save()
                saved_at = time.monotonic()
        save()
    return totals, count, difference


class StoredDecisions:
    """The decisions of a partition's topic, read beside the log. ``marks`` has the last record that was read."""

    def __init__(self, log: Log, number: int, marks: dict[str, Mark]) -> None:
        self._marks = marks
        mark = marks.get(DECISIONS.name)
        self._records = records(log, DECISIONS, number, 0 if mark is None else mark.offset + 1)
        self._next = next(self._records, None)

    def find_difference(self, record: Record, decisions: list[Decision]) -> dict[str, Any] | None:
        """Return the first difference between what a record decides and what the topic has of it."""
        topic_decisions: list[Decision] = []
        while self._next is not None and self._next.cause_offset <= record.offset:
            derived, self._next = self._next, next(self._records, None)
            self._marks[DECISIONS.name] = mark_record(derived)
            if derived.cause_offset == record.offset:
                try:
                    topic_decisions += read_decisions(derived)
                except (ValueError, TypeError, KeyError, AttributeError) as error:
                    return describe_unreadable(derived, error, DECISIONS.name)
        return next(list_differences(record, decisions, topic_decisions), None)


def describe_unreadable(record: Record, error: Exception, topic_name: str = EVENTS.name) -> dict[str, Any]:
    """Return a difference: a record that is not what its writer writes."""
    place = {"topic": topic_name, "partition": str(record.partition), "offset": str(record.offset)}
    side = "log" if topic_name == EVENTS.name else "topic"
    values = {"log": "", "topic": "", "warehouse": ""} | {side: repr(error)[:200]}
    return {"what": "unreadable record", "where": place, **values}


def _make_line_reader(log: Log, partition: int) -> Callable[[int, int], bytes]:
    """Return a reader of the partition's events by offset and index, for those that corrections refer to. They stand on
    the log: it was read up to there."""

    @lru_cache(maxsize=8)
    def split_record(offset: int) -> list[bytes]:
        records = log.read(EVENTS, partition, offset, max_bytes=1)
        return records[0].value.split(b"\n") if records and records[0].offset == offset else []

    return lambda offset, event_index: split_record(offset)[event_index]


def _add_record(totals: Totals, record: Record, judged: list[JudgedLine]) -> None:
    organization = record.organization
    refused = record.refused
    is_relayed = envelope.RELAY_OF in record.headers
    facts = sum(event.kind in FACTS and event.outcome in OUTCOMES for event in judged)
    received = 0 if is_relayed else facts + refused
    frame = (record.partition, record.offset, record.time_ms, organization, record.channel)
    totals.add_record(organization, received, refused, row_checksums.hash_record(*frame, received, refused))
    for event in judged:
        if not (is_relayed if event.is_relayed is None else event.is_relayed):
            _add_event(totals, record, event)


def _add_event(totals: Totals, record: Record, event: JudgedLine) -> None:
    owner, rated, data = event.organization or record.organization, event.rated, event.data
    identity = row_checksums.write_identity(
        record.partition, record.offset, event.event_index, record.time_ms, owner, event.source, event.id,
        None if event.time is None else (event.time - EPOCH) // timedelta(microseconds=1), event.outcome,
        event.billing_month,
    )  # fmt: skip
    names: tuple[Any, ...] = (event.kind, event.reason)
    if rated is None:
        text = EventText(identity, NO_DIMENSIONS, SEPARATOR * 3)
        checksum = row_checksums.hash_event(text, (*names, "", ""), event.original, ("", "", ""), NO_ATTRIBUTES)
        totals.add_outcome(owner, event.kind, event.outcome, event.reason, checksum)
        return
    price = row_checksums.write_columns((rated.currency, rated.document, rated.price_id, rated.tier_basis))
    text = EventText(identity, row_checksums.write_dimensions(data), price)
    amounts = rated.unknown_tokens, write_amount(rated.greatest_cost), write_amount(rated.saved_cost)
    attributes = row_checksums.write_attributes(data)
    checksum = row_checksums.hash_event(
        text, (*names, rated.pricing, rated.reason), event.original, amounts, attributes
    )
    totals.add_outcome(owner, event.kind, event.outcome, event.reason, checksum)
    changed = event.original if event.outcome in (REVERSAL, RESTATEMENT) else None
    shared = row_checksums.begin_entries(text, rated.contract_id, changed)
    assert event.time, "an entry has one"
    day, model = event.time.date().isoformat(), data.get("model_resolved") or data.get("model") or ""
    for line in rated.lines:
        _add_entry(totals, Group(owner, day, model, line.name, rated.currency or ""), shared, line)


def _add_entry(totals: Totals, group: Group, shared: str, line: Line) -> None:
    costs, amounts = row_checksums.write_costs(
        (line.list_cost, line.contracted_cost, line.effective_cost, line.billed_cost)
    )
    figures = (
        line.name, str(line.quantity), write_amount(line.unit_price), *costs, write_amount(line.greatest_cost),
    )  # fmt: skip
    checksum = row_checksums.hash_text(shared + SEPARATOR.join(figures))
    totals.add_entry(group, checksum, line.quantity, amounts)
