"""The one form in which positions are printed, and those in which they are read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.log import PARTITIONS, Position, parse_position
from ledger.log.record import MAX_EVENT_INDEX

POSITIONS = st.builds(
    Position, st.integers(0, PARTITIONS - 1), st.integers(0, 10**18 - 1), st.integers(0, MAX_EVENT_INDEX)
)


@given(POSITIONS)
def test_a_position_is_read_as_it_is_printed(position: Position) -> None:
    text = str(position)
    assert parse_position(text) == parse_position(text.replace("-", ":")) == position
    short = text.partition("-")[2]
    assert parse_position(short, position.partition) == parse_position(short.replace("-", ":"), position.partition)
    assert parse_position(short, position.partition) == position and parse_position(short) is None


@pytest.mark.parametrize(
    "text",
    ["", "1", "1-2:3", "1:2-3", "16-0-0", "1-2-3-4", "-1-2-3", "1-2-4294967296", "a-b-c", "1-2-3 ", "١-2-3", "1--3"],
)
def test_another_text_is_none(text: str) -> None:
    assert parse_position(text, 3) is None
