"""What became of the calls of an admission after they settled: unknown usage, and what corrections changed."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ledger import outcomes
from ledger.money import parse_text, text
from ledger.token_classes import TOKEN_CLASSES
from streams.folds.chain import Derived
from tally.log.entry_lines import read_original_position, read_position
from tally.log.partition_copy import read_entries

Line = Mapping[str, Any]
_UNKNOWN = ("unknown", "unpriced", "partially_priced")
_ADDING = (outcomes.COUNTED, outcomes.RELEASE, outcomes.REPLACEMENT, outcomes.RESTATEMENT)
_AS_ENTRY = 1 << 32
"""Entries write the index of what fell due as one beyond those of events, decisions as a negative one."""


class CallChange(NamedTuple):
    """A change of a call that has settled: why, when, and what its entry was and is; None where there is none."""

    reason: str
    time_us: int
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class AdmittedCalls:
    """The calls that named an admission, followed through the entries of the log."""

    def __init__(self, organization: str) -> None:
        self._organization = organization
        self._positions = set[tuple[int, int]]()
        self._identities = set[tuple[str, str]]()
        self.unknown: dict[tuple[int, int], str] = {}
        """Why the cost of a call was not known as it settled, by the position of the call."""
        self._changes: dict[tuple[int, int], CallChange] = {}

    @property
    def changes(self) -> list[CallChange]:
        return list(self._changes.values())

    def add(self, decision: Line) -> tuple[int, int]:
        """Follow the call that a settlement is of, and return its position."""
        event_index = decision["event_index"]
        position = decision["offset"], event_index if event_index >= 0 else event_index + _AS_ENTRY
        self._positions.add(position)
        return position

    def follow(self, derived: Derived) -> None:
        """Follow the calls through what records cause, of which the settlements were added before."""
        for line in read_entries(derived):
            if line["organization"] == self._organization and "lines" in line:
                self._follow_line(line)

    def _follow_line(self, line: Line) -> None:
        _, *place = read_position(line)
        position, identity = (place[0], place[1]), (line["source"], line["id"])
        original = None
        if line.get("original_offset") is not None:
            _, *original_place = read_original_position(line)
            original = original_place[0], original_place[1]
        if position in self._positions and line["outcome"] in _ADDING and position not in self._changes:
            self._identities.add(identity)
            if line["pricing"] in _UNKNOWN:
                self.unknown[position] = line.get("unpriced_reason") or line["pricing"]
            return
        if original not in self._positions and identity not in self._identities:
            return
        former = self._changes.get(position)
        time_us = int(line["accepted_ms"]) * 1000
        if line["outcome"] == outcomes.REVERSAL:
            after = None if former is None else former.after
            self._changes[position] = CallChange(line["reason"], time_us, _describe(line, -1), after)
        elif line["outcome"] in _ADDING:
            self._positions.add(position)
            reason = line["outcome"] if former is None else former.reason
            before = None if former is None else former.before
            self._changes[position] = CallChange(reason, time_us, before, _describe(line, 1))


def _describe(line: Line, sign: int) -> dict[str, Any]:
    """Describe an entry by its billed cost and its tokens."""
    parts: Iterable[Line] = line["lines"]
    billed = sum(parse_text(part["billed_cost"]) for part in parts if part.get("billed_cost") is not None)
    tokens = sum(part["quantity"] for part in parts if part["class"] in TOKEN_CLASSES)
    return {
        "billed_cost": text(sign * billed), "currency": line.get("currency"), "tokens": sign * tokens,
        "pricing": line["pricing"],
    }  # fmt: skip
