"""Restatement of past calls: what other prices would change, and the records that change it.

The log is folded again in temporary files, so the answer is that of the folds, on either log, and nothing is written.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from ingest.controls.prices import build_restatement
from ledger import outcomes
from ledger.log import PARTITIONS, Draft, Log, Record, records
from ledger.log.sqlite.log import transaction
from ledger.log.topics import ENTRIES, EVENTS
from ledger.money import pico, text
from ledger.settings import Settings
from streams.folds.chain import Derived
from streams.folds.entry import Documents
from streams.partition_state import PartitionState, read_runs
from streams.runtime import read_catalogues, read_history, read_originals
from tallystick.vocabulary.controls.prices import MAX_RESTATED_RECORDS

MAX_RANGE_BYTES = 256_000
"""The most that one restatement reads, beside a single record that is longer: what it changes is one derived record,
which a broker has to take."""

_decode = msgspec.json.Decoder().decode
Progress = Callable[[int], None]


class MoveKey(NamedTuple):
    """The calls that move together. ``billing_month`` is the month in which the difference is billed."""

    organization: str
    team: str
    model: str
    month: str
    billing_month: str
    currency: str


class Move(NamedTuple):
    """The costs of calls before and after, in pico, and how many of them have no price or not all of it."""

    calls: int = 0
    list_before: int = 0
    list_after: int = 0
    billed_before: int = 0
    billed_after: int = 0
    unpriced_before: int = 0
    unpriced_after: int = 0

    def plus(self, addend: "Move") -> "Move":
        """Return the sum of two moves."""
        return Move(*(figure + other for figure, other in zip(self, addend, strict=True)))

    def as_json(self) -> dict[str, Any]:
        """Return the figures with exact costs, and their differences."""
        costs = {name: text(value) for name, value in self._asdict().items() if name.startswith(("list", "billed"))}
        return {
            **self._asdict(), **costs, "list_difference": text(self.list_after - self.list_before),
            "billed_difference": text(self.billed_after - self.billed_before),
        }  # fmt: skip


class Plan(NamedTuple):
    """The records that restate, and what they move."""

    drafts: list[Draft]
    moves: Mapping[MoveKey, Move]


def plan_restatement(
    log: Log, settings: Settings, scope: Mapping[str, Any], reason: str | None, progress: Progress = lambda count: None
) -> Plan:
    """Find what the prices in force change of past calls. ``scope`` has the fields that narrow a restatement."""
    documents = read_catalogues(log)
    drafts: list[Draft] = []
    moves: dict[MoveKey, Move] = {}
    for partition in range(PARTITIONS):
        end = log.end(EVENTS, partition)
        if end < 2:
            continue
        with closing(sqlite3.connect("", isolation_level=None)) as db:
            partition_copy = _PartitionCopy(PartitionState(db), db, log, partition, documents)
            partition_copy.fold(end, progress)
            for first_offset, end_offset in list_ranges(log, partition, end):
                body = {"first_offset": first_offset, "end_offset": end_offset, **scope}
                draft = build_restatement(settings, partition, body, reason)
                range_moves = list(partition_copy.restate(draft, end))
                for key, move in range_moves:
                    moves[key] = moves.get(key, Move()).plus(move)
                drafts += [draft] if range_moves else []
    return Plan(drafts, moves)


def list_ranges(log: Log, partition: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the ranges of a partition that one restatement each may reach, up to an offset."""
    first_offset = byte_count = 0
    for record in records(log, EVENTS, partition, end=end):
        is_full = record.offset - first_offset == MAX_RESTATED_RECORDS
        if byte_count and (is_full or byte_count + len(record.value) > MAX_RANGE_BYTES):
            yield first_offset, record.offset
            first_offset, byte_count = record.offset, 0
        byte_count += len(record.value)
    if byte_count:
        yield first_offset, end


class _PartitionCopy:
    """The folds of a partition in a temporary file."""

    def __init__(
        self, stored: PartitionState, db: sqlite3.Connection, log: Log, partition: int, documents: Documents
    ) -> None:
        self._stored, self._db, self._log, self._partition = stored, db, log, partition
        self._state = stored.open_state(partition)
        self._documents = documents
        self._readers = read_originals(log, partition), read_history(log, partition)

    def fold(self, end: int, progress: Progress) -> None:
        """Fold the log up to an offset."""
        for run in read_runs(self._log, self._partition, end):
            self._fold_batch(run)
            progress(len(run))

    def restate(self, draft: Draft, offset: int) -> Iterator[tuple[MoveKey, Move]]:
        """Fold a restatement as the next record, and yield what it moves, call by call."""
        now_ms = int(datetime.now(UTC).timestamp() * 1000)
        former: dict[str, Any] = {}
        derived = self._fold_batch([Record(self._partition, offset, now_ms, *draft[1:])])
        (entries,) = (record for topic, record in derived if topic is ENTRIES)
        for line in map(_decode, entries.value.split(b"\n")):
            if line["outcome"] == outcomes.REVERSAL:
                former = line
            elif line["outcome"] == outcomes.RESTATEMENT:
                yield from _compare(former, line)

    def _fold_batch(self, batch: list[Record]) -> Derived:
        originals, history = self._readers
        parsed = self._stored.parse_batch(batch, history)
        derived, _, change = self._stored.fold_batch(parsed, self._state, self._documents, originals)
        with transaction(self._db):
            self._stored.apply(self._partition, change)
        return derived


def _compare(former: dict[str, Any], restated: dict[str, Any]) -> Iterator[tuple[MoveKey, Move]]:
    """Yield what a restated call moves: in one currency, or out of one and into another."""
    currencies = [line.get("currency") for line in (former, restated)]
    before, after = currencies[0] or currencies[1] or "", currencies[1] or currencies[0] or ""
    list_before, billed_before = _sum_costs(former)
    list_after, billed_after = _sum_costs(restated)
    removed = Move(0, -list_before, 0, -billed_before, 0, _count_unpriced(former), 0)
    added = Move(restated.get("calls") or 1, 0, list_after, 0, billed_after, 0, _count_unpriced(restated))
    yield _build_key(former, before), removed
    yield _build_key(restated, after), added


def _build_key(line: dict[str, Any], currency: str) -> MoveKey:
    month = datetime.fromtimestamp(line["time_us"] // 1_000_000, UTC).strftime("%Y-%m")
    model = line.get("model_resolved") or line.get("model") or ""
    billing_month = line.get("billing_month", month)
    return MoveKey(line["organization"], line.get("team", ""), model, month, billing_month, currency)


def _sum_costs(line: dict[str, Any]) -> tuple[int, int]:
    costs = (sum(pico(part[name] or "0") for part in line["lines"]) for name in ("list_cost", "billed_cost"))
    list_cost, billed_cost = costs
    return list_cost, billed_cost


def _count_unpriced(line: dict[str, Any]) -> int:
    return (line.get("calls") or 1) if line["pricing"] not in ("priced", "free") else 0
