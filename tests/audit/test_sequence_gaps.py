"""What sources numbered and never arrived."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit import sequence_gaps
from audit.sequence_gaps import MAX_RANGES, Gap, SourceSequence, add_numbers
from ledger.log import Draft, Log, partition_of
from ledger.log.open import open_log
from ledger.log.sqlite.log import EmbeddedLog
from ledger.log.topics import EVENTS
from ledger.settings import Settings


def as_set(numbers: SourceSequence) -> set[int]:
    return {one for first, last in numbers.missing_ranges for one in range(first, last + 1)}


@given(numbers=st.lists(st.integers(0, 300), min_size=1, max_size=200), cut=st.integers(0, 200))
def test_what_lacks_is_the_difference_of_sets_in_whatever_order(numbers: list[int], cut: int) -> None:
    known = add_numbers(add_numbers(None, numbers[:cut]), numbers[cut:])
    assert known is not None and (known.first, known.last) == (min(numbers), max(numbers))
    assert as_set(known) == set(range(min(numbers), max(numbers) + 1)) - set(numbers)
    assert known.missing_count == len(as_set(known))
    ranges = known.missing_ranges
    assert all(last + 1 < first for (_, last), (first, _) in pairwise(ranges))


def test_a_source_that_lost_count_is_bounded() -> None:
    known = add_numbers(None, range(0, 2**62, 2**62 // 5000))
    assert known is not None and len(known.missing_ranges) == MAX_RANGES and known.missing_ranges[-1][1] < known.last


def line(source: str, sequence: int | None) -> bytes:
    return json.dumps({"source": source, "id": "x", **({} if sequence is None else {"sequence": sequence})}).encode()


def add(log: Log, organization: str, *lines: bytes) -> None:
    headers = {"organization": organization, "channel": "test", "refused": "0"}
    log.append(EVENTS, [Draft(partition_of(organization), organization, headers, b"\n".join(lines))])


def test_the_log_is_followed_from_where_it_stood(either: str | None, tmp_path: Path) -> None:
    log = open_log(Settings(home=tmp_path, log=either), new=True)
    assert sequence_gaps.list_gaps(tmp_path) is None and sequence_gaps.count_missing(tmp_path) is None
    add(log, "acme", line("a", 1), line("a", 5), line("b", 7), line("c", None), b"not json", b"")
    sequence_gaps.follow(log, tmp_path)
    assert (
        sequence_gaps.list_gaps(tmp_path) == [Gap("acme", "a", SourceSequence(1, 5, ((2, 4),)))]
        and sequence_gaps.count_missing(tmp_path) == 3
    )
    add(log, "beta", line("a", 1), line("a", 3))
    add(log, "acme", line("a", 3), line("a", 3))
    sequence_gaps.follow(log, tmp_path)
    assert sequence_gaps.list_gaps(tmp_path) == [
        Gap("acme", "a", SourceSequence(1, 5, ((2, 2), (4, 4)))), Gap("beta", "a", SourceSequence(1, 3, ((2, 2),))),
    ]  # fmt: skip
    add(log, "acme", line("a", 4), line("a", 2))
    sequence_gaps.follow(log, tmp_path)
    sequence_gaps.follow(log, tmp_path)
    assert sequence_gaps.list_gaps(tmp_path) == [Gap("beta", "a", SourceSequence(1, 3, ((2, 2),)))]


def test_another_log_is_followed_from_its_begin(tmp_path: Path) -> None:
    log = EmbeddedLog(tmp_path)
    add(log, "acme", line("a", 1), line("a", 5))
    sequence_gaps.follow(log, tmp_path)
    other = EmbeddedLog(tmp_path / "other")
    add(other, "acme", line("z", 1), line("z", 3))
    sequence_gaps.follow(other, tmp_path)
    assert sequence_gaps.list_gaps(tmp_path) == [Gap("acme", "z", SourceSequence(1, 3, ((2, 2),)))]


def test_a_kill_in_between_takes_nothing_in_twice_or_never(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = EmbeddedLog(tmp_path)
    add(log, "acme", line("a", 1), line("a", 4))
    monkeypatch.setattr(SourceSequence, "missing_count", property(lambda _: 1 / 0))
    with pytest.raises(ZeroDivisionError):
        sequence_gaps.follow(log, tmp_path)
    monkeypatch.undo()
    sequence_gaps.follow(log, tmp_path)
    assert sequence_gaps.list_gaps(tmp_path) == [Gap("acme", "a", SourceSequence(1, 4, ((2, 3),)))]
