"""The position of a decision: that of the record that caused it, and its number among what that caused. It is the same
on both logs and in every generation."""

import re
from typing import NamedTuple

from ledger.log import PARTITIONS

_TEXT = re.compile(r"([0-9]{1,5})-([0-9]{1,18})-([0-9]{1,10})", re.ASCII)


class DecisionPosition(NamedTuple):
    """``offset`` is one of ``tally.events``, and ``seq`` counts from 1. Positions of one partition compare."""

    partition: int
    offset: int = 0
    seq: int = 0

    def __str__(self) -> str:
        return f"{self.partition}-{self.offset}-{self.seq}"


def parse_decision_position(text: str) -> DecisionPosition | None:
    """Parse a position, for example ``3-1801-2``; None where the text is none."""
    match = _TEXT.fullmatch(text)
    if match is None or int(match[1]) >= PARTITIONS:
        return None
    return DecisionPosition(*map(int, match.groups()))
