"""Restatement of past calls: what other prices would change, and the records that change it."""

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from ingest.controls.prices import build_restatement
from ledger.log import PARTITIONS, Draft, Log, records
from ledger.log.topics import EVENTS
from ledger.money import pico, text
from ledger.settings import Settings
from streams.folds.event import EPOCH
from streams.runtime import read_catalogues
from tally.log.partition_copy import PartitionCopy, read_entries
from tallystick.vocabulary.controls.prices import MAX_RESTATED_RECORDS

MAX_RANGE_BYTES = 256_000
"""The most that one restatement reads, beside a single record that is longer: what it changes is one derived record,
which a broker has to take."""

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
    effective_before: int = 0
    effective_after: int = 0
    billed_before: int = 0
    billed_after: int = 0
    unpriced_before: int = 0
    unpriced_after: int = 0

    def plus(self, addend: "Move") -> "Move":
        """Return the sum of two moves."""
        return Move(*(figure + other for figure, other in zip(self, addend, strict=True)))

    @property
    def effective_difference(self) -> int:
        """Return the effective cost after, less that before."""
        return self.effective_after - self.effective_before

    @property
    def billed_difference(self) -> int:
        """Return the billed cost after, less that before."""
        return self.billed_after - self.billed_before

    def as_json(self) -> dict[str, Any]:
        """Return the figures with exact costs, and their differences."""
        prefixes = ("list", "effective", "billed")
        costs = {name: text(value) for name, value in self._asdict().items() if name.startswith(prefixes)}
        return {
            **self._asdict(), **costs, "list_difference": text(self.list_after - self.list_before),
            "effective_difference": text(self.effective_difference), "billed_difference": text(self.billed_difference),
        }  # fmt: skip


class Plan(NamedTuple):
    """The records that restate, what they move, and whether any past call is in their scope."""

    drafts: list[Draft]
    moves: Mapping[MoveKey, Move]
    has_calls: bool


def plan_restatement(
    log: Log, settings: Settings, scope: Mapping[str, Any], reason: str | None, progress: Progress = lambda count: None
) -> Plan:
    """Find what the prices in force change of past calls. ``scope`` has the fields that narrow a restatement."""
    documents = read_catalogues(log)
    drafts: list[Draft] = []
    moves: dict[MoveKey, Move] = {}
    has_calls = False
    for partition in range(PARTITIONS):
        end = log.end(EVENTS, partition)
        if end < 2:
            continue
        with closing(sqlite3.connect("", isolation_level=None)) as db:
            partition_copy = PartitionCopy(db, log, partition, documents)
            for record_count, derived in partition_copy.fold(end):
                has_calls = has_calls or any(_is_in_scope(line, scope) for line in read_entries(derived))
                progress(record_count)
            for first_offset, end_offset in list_ranges(log, partition, end):
                body = {"first_offset": first_offset, "end_offset": end_offset, **scope}
                draft = build_restatement(settings, partition, body, reason)
                pairs = partition_copy.restate(draft)
                range_moves = [move for former, restated in pairs for move in _compare(former, restated)]
                for key, move in range_moves:
                    moves[key] = moves.get(key, Move()).plus(move)
                drafts += [draft] if range_moves else []
    return Plan(drafts, moves, has_calls)


def _is_in_scope(line: Mapping[str, Any], scope: Mapping[str, Any]) -> bool:
    """Tell whether a line of ``tally.entries`` is the entry of a call that a scope reaches."""
    if "pricing" not in line:
        return False
    provider, model = scope.get("provider"), scope.get("model")
    since, until = (datetime.fromisoformat(scope[name]) if scope.get(name) else None for name in ("since", "until"))
    time = EPOCH + timedelta(microseconds=line["time_us"])
    models = {str(line.get(name, "")).lower() for name in ("model", "model_resolved")}
    return (
        (provider is None or line.get("provider", "").lower() == provider.lower())
        and (model is None or model.lower() in models)
        and (since is None or time >= since)
        and (until is None or time < until)
    )


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


def _compare(former: dict[str, Any], restated: dict[str, Any]) -> Iterator[tuple[MoveKey, Move]]:
    """Yield what a restated call moves: in one currency, or out of one and into another."""
    currencies = [line.get("currency") for line in (former, restated)]
    before, after = currencies[0] or currencies[1] or "", currencies[1] or currencies[0] or ""
    list_before, effective_before, billed_before = _sum_costs(former)
    list_after, effective_after, billed_after = _sum_costs(restated)
    removed = Move(0, -list_before, 0, -effective_before, 0, -billed_before, 0, _count_unpriced(former), 0)
    calls = restated.get("calls") or 1
    added = Move(calls, 0, list_after, 0, effective_after, 0, billed_after, 0, _count_unpriced(restated))
    yield _build_key(former, before), removed
    yield _build_key(restated, after), added


def _build_key(line: dict[str, Any], currency: str) -> MoveKey:
    month = datetime.fromtimestamp(line["time_us"] // 1_000_000, UTC).strftime("%Y-%m")
    model = line.get("model_resolved") or line.get("model") or ""
    billing_month = line.get("billing_month", month)
    return MoveKey(line["organization"], line.get("team", ""), model, month, billing_month, currency)


def _sum_costs(line: dict[str, Any]) -> tuple[int, int, int]:
    """Sum the list, effective and billed cost of a line."""
    names = ("list_cost", "effective_cost", "billed_cost")
    list_cost, effective_cost, billed_cost = (sum(pico(part[name] or "0") for part in line["lines"]) for name in names)
    return list_cost, effective_cost, billed_cost


def _count_unpriced(line: dict[str, Any]) -> int:
    return (line.get("calls") or 1) if line["pricing"] not in ("priced", "free") else 0
