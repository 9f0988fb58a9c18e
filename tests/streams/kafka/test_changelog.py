"""The topic of rows and its cache: whoever reads the topic to its end remembers what was committed."""

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from ledger.errors import TallyError
from ledger.inference_fields import MAX_COUNT
from streams.folds.identity import EntryStatus, EventVersion
from streams.folds.state import Row
from streams.kafka import state_cache as caching
from streams.kafka.changelog import MAX_BLOCK_IDENTITIES, POSITION, StateRecord, encode_change, read_change
from streams.kafka.state_cache import StateCache
from streams.partition_state import Change, FoldPosition

values = some.recursive(
    some.none() | some.integers() | some.text(), lambda one: some.lists(one, max_size=3), max_leaves=5
)
keys = some.tuples(some.sampled_from(("budgets", "runaways")), some.text(max_size=5), some.integers(0, 9))
rows = some.dictionaries(
    keys, some.none() | some.builds(Row, values, some.none() | some.integers(0, 1 << 60)), max_size=5
)
offsets, indices = some.integers(0, (1 << 60) - 1), some.integers(0, (1 << 32) - 1)
places = some.integers(-(1 << 31), (1 << 31) - 1)
firsts = some.builds(
    EventVersion, some.binary(min_size=8, max_size=8), offsets, indices, some.integers(0, MAX_COUNT),
    some.sampled_from(EntryStatus).map(int), offsets, indices, offsets, places, offsets, places,
)  # fmt: skip
changes = some.builds(
    Change,
    some.builds(FoldPosition, some.integers(1, 1 << 60), some.text(max_size=5)),
    rows,
    some.dictionaries(some.binary(min_size=16, max_size=16), firsts, max_size=5),
)


@given(some.lists(changes, min_size=1, max_size=4))
def test_what_is_read_is_the_sum_of_what_was_written(made: list[Change]) -> None:
    entries = [entry for change in made for entry in encode_change(change.position or FoldPosition(0, ""), change)]
    found = read_change(entries)
    assert found.position == made[-1].position
    assert found.rows == {key: row for change in made for key, row in change.rows.items()}
    assert found.identities == {one: first for change in made for one, first in change.identities.items()}


@given(some.lists(changes, min_size=1, max_size=4))
def test_compaction_changes_nothing(made: list[Change]) -> None:
    """Of each key the last is kept."""
    numbered = [change._replace(position=FoldPosition(at, "x")) for at, change in enumerate(made, 1)]
    entries = [entry for change in numbered for entry in encode_change(change.position or FoldPosition(0, ""), change)]
    last = {entry.key: at for at, entry in enumerate(entries)}
    assert read_change(entry for at, entry in enumerate(entries) if last[entry.key] == at) == read_change(entries)


def test_many_identities_go_in_blocks() -> None:
    taken = {at.to_bytes(16, "big"): EventVersion(b"c" * 8, at, 0) for at in range(MAX_BLOCK_IDENTITIES + 1)}
    change = Change(FoldPosition(5, "d"), {}, taken)
    entries = list(encode_change(FoldPosition(5, "d"), change))
    assert [entry.key for entry in entries] == ["identities:5:0", f"identities:5:{MAX_BLOCK_IDENTITIES}", "position"]
    assert read_change(entries) == change


def test_what_other_folds_remember_is_not_gone_on_with() -> None:
    with pytest.raises(TallyError, match="version 0"):
        read_change([StateRecord(POSITION, b'[0, 5, "d"]')])


def change(number: int) -> Change:
    return Change(FoldPosition(number, "d"), {("some", number): Row([number], None)}, {})


def test_a_cache_goes_on_where_it_was(tmp_path: Path) -> None:
    first = StateCache(tmp_path, 3, "topic")
    first.absorb([change(1), change(2)], 17)
    first.close()
    again = StateCache(tmp_path, 3, "topic")
    assert (again.next_offset, again.state.position(3)) == (17, FoldPosition(2, "d"))
    assert again.state.open_state(3).get(("some", 1)) == [1]


def test_a_cache_of_another_topic_or_of_long_ago_is_begun_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for topic, later_s in (("other", 0.0), ("topic", caching.MAX_AGE_S + 1)):
        first = StateCache(tmp_path / topic, 3, "topic")
        first.absorb([change(1)], 17)
        first.close()
        now = time.time() + later_s
        monkeypatch.setattr("streams.kafka.state_cache.time.time", lambda: now)  # noqa: B023  (used at once)
        again = StateCache(tmp_path / topic, 3, topic)
        assert (again.next_offset, again.state.position(3)) == (0, None)
        again.close()
        monkeypatch.undo()


def test_who_finds_the_cache_held_has_one_of_its_own(tmp_path: Path) -> None:
    """As where a frozen process, which no longer owns the partition, still holds it."""
    frozen = StateCache(tmp_path, 3, "topic")
    frozen.absorb([change(1)], 17)
    other = StateCache(tmp_path, 3, "topic")
    assert other.next_offset == 0
    other.absorb([change(2)], 19)
    assert frozen.state.position(3) == FoldPosition(1, "d") and other.state.position(3) == FoldPosition(2, "d")
