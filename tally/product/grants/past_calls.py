"""Collect the calls of an organization that were made in a period, as the log has them now, in the order of their
times."""

import sqlite3
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from ledger import outcomes
from ledger.money import parse_text
from ledger.token_classes import TOKEN_CLASSES
from streams.folds.chain import Derived
from streams.folds.grants.limits import Amounts
from tally.log.entry_lines import read_original_position, read_position
from tally.log.partition_copy import read_entries
from tallystick.rights.sets import FIELDS
from tallystick.vocabulary.request import SCOPES

_ADDED = (outcomes.COUNTED, outcomes.RELEASE, outcomes.REPLACEMENT, outcomes.RESTATEMENT)
_KNOWN_PRICINGS = ("priced", "free")
_encode, _decode = msgspec.json.Encoder().encode, msgspec.json.Decoder().decode
_TABLE = """CREATE TABLE past_calls (
    offset INTEGER, event_index INTEGER, time_us INTEGER, line BLOB, PRIMARY KEY (offset, event_index)
) WITHOUT ROWID"""


class PastCall(NamedTuple):
    """A call that was made: offset and event index of its entry, whose it was, its values in sets, and what it is worth
    to limits. ``calls`` is the number of calls that it stands for."""

    position: tuple[int, int]
    source: str
    id: str
    time_us: int
    scopes: dict[str, str]
    call: dict[str, str | None]
    amounts: Amounts
    calls: int
    grant: str | None


class PastCalls:
    """The entries in force of a period, in a table of a temporary database: what is corrected or restated replaces what
    it corrects."""

    def __init__(self, db: sqlite3.Connection, organization: str, start_us: int, end_us: int) -> None:
        self._db, self._organization, self._start_us, self._end_us = db, organization, start_us, end_us
        db.execute(_TABLE)

    def add(self, derived: Derived) -> None:
        """Add and take back what records cause."""
        for line in read_entries(derived):
            outcome = line["outcome"]
            if line["organization"] != self._organization or "lines" not in line:
                continue
            if outcome == outcomes.REVERSAL:
                _, *position = read_original_position(line)
                self._db.execute("DELETE FROM past_calls WHERE offset = ? AND event_index = ?", position)
            elif outcome in _ADDED and self._start_us <= line["time_us"] < self._end_us:
                # A restated entry stays where it was.
                is_restated = outcome == outcomes.RESTATEMENT
                _, *position = read_original_position(line) if is_restated else read_position(line)
                row = *position, line["time_us"], _encode(line)
                self._db.execute("REPLACE INTO past_calls VALUES (?, ?, ?, ?)", row)

    def __iter__(self) -> Iterator[PastCall]:
        rows = self._db.execute(
            "SELECT offset, event_index, line FROM past_calls ORDER BY time_us, offset, event_index"
        )
        for offset, event_index, line in rows:
            yield read_past_call((offset, event_index), _decode(line))


def read_past_call(position: tuple[int, int], line: Mapping[str, Any]) -> PastCall:
    """Read a call from the line of its entry."""
    scopes = {name: line[name] for name in SCOPES if line.get(name) is not None}
    call = {name: line.get(field) for name, field in FIELDS.items()}
    call["models"] = line.get("model") or line.get("model_resolved")
    calls = line.get("calls") or 1
    return PastCall(
        position, line["source"], line["id"], line["time_us"], scopes, call, _read_amounts(line, calls), calls,
        line.get("grant"),
    )  # fmt: skip


def _read_amounts(line: Mapping[str, Any], calls: int) -> Amounts:
    """Read what the folds would count of a call."""
    is_cache_hit = line.get("response_cache") == "hit" or (
        line.get("cached_from") and line.get("response_cache") != "miss"
    )
    is_tool_call = line.get("tool") and not (line.get("model") or line.get("model_resolved"))
    if line["pricing"] == "free" and (is_cache_hit or is_tool_call or line.get("status") == "refused"):
        return Amounts(0, 0, None, 0, 0)
    parts = line["lines"]
    tokens = {part["class"]: part for part in parts if part["class"] in TOKEN_CLASSES}
    unpriced_tokens = sum(part["quantity"] for part in tokens.values() if part.get("list_cost") is None)
    told_tokens = (line.get("unknown_tokens") or 0) + unpriced_tokens
    billed, notional = (
        sum(parse_text(part[name]) for part in parts if part.get(name) is not None)
        for name in ("billed_cost", "list_cost")
    )
    greatest_cost = line.get("greatest_unpriced_cost")
    is_unknown = line["pricing"] not in _KNOWN_PRICINGS
    known_tokens = max(sum(part["quantity"] for part in tokens.values()), told_tokens)
    return Amounts(
        billed, notional, line.get("currency"), (known_tokens or None) if is_unknown else known_tokens,
        calls, parse_text(greatest_cost) if is_unknown and greatest_cost is not None else None, is_unknown,
        line.get("payer") == "customer",
    )  # fmt: skip
