"""Rows: what is undone, what falls due, what is taken."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from streams.folds.state import Key, Row, State


class Stored:
    """A store in memory: what a transaction left behind."""

    def __init__(self) -> None:
        self.rows: dict[Key, Row] = {}

    def due(self, after_us: int, soonest: int) -> list[tuple[int, Key]]:
        later = sorted(
            ((row.due_us, key) for key, row in self.rows.items() if row.due_us is not None and row.due_us > after_us),
            key=lambda entry: entry[0],
        )
        return [entry for entry in later if entry[0] <= later[min(soonest, len(later)) - 1][0]]

    def write(self, changed: dict[Key, Row | None]) -> None:
        for key, row in changed.items():
            if row is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = row


def test_undo_takes_back_what_changed_since_begin() -> None:
    held: dict[Key, Row] = {("a",): Row(1, None)}
    rows = State(held.get)
    rows.put(("b",), 2)
    rows.begin()
    rows.put(("a",), 9)
    rows.delete(("b",))
    rows.put(("c",), 3, due_us=5)
    rows.undo()
    assert (rows.get(("a",)), rows.get(("b",)), rows.get(("c",))) == (1, 2, None)
    assert list(rows.take_due(10)) == []
    assert rows.take_changes() == {("b",): Row(2, None)}


@given(st.lists(st.tuples(st.integers(0, 5), st.none() | st.integers(0, 20)), max_size=30))
def test_due_rows_come_by_time_and_key_whatever_was_put_before(puts: list[tuple[int, int | None]]) -> None:
    """In memory or reloaded from what was stored: the same rows fall due in the same order."""
    rows = State()
    for number, due in puts:
        rows.put((number,), "x", due)
    stored = Stored()
    stored.write(rows.take_changes())
    reloaded = State(stored.rows.get, stored.due)
    expected = sorted(
        (row.due_us, key) for key, row in stored.rows.items() if row.due_us is not None and row.due_us <= 10
    )
    for one in (rows, reloaded):
        found = []
        for at, key in one.take_due(10):
            found.append((at, key))
            one.delete(key)
        assert found == expected


later = st.none() | st.integers(0, 12)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 9), later),
        st.tuples(st.just("delete"), st.integers(0, 9)),
        st.tuples(st.just("undone"), st.lists(st.tuples(st.integers(0, 9), later), min_size=1, max_size=4)),
        st.tuples(st.just("pass"), st.integers(0, 8)),
        st.tuples(st.just("commit")),
        st.tuples(st.just("restart")),
    ),
    max_size=50,
)


@given(steps, st.integers(1, 4), st.integers(0, 3))
def test_a_bounded_queue_over_a_store_yields_what_an_unbounded_one_does(
    steps: list[tuple[Any, ...]], soonest: int, keep: int
) -> None:
    """Whatever is put, undone, committed and forgotten meanwhile, and wherever a worker begins again."""
    stored = Stored()
    bounded, whole, now = State(stored.rows.get, stored.due, soonest), State(), 0
    for number, (step, *said) in enumerate(steps):
        if step == "commit" or step == "restart":
            stored.write(bounded.take_changes(keep))
            if step == "restart":
                bounded = State(stored.rows.get, stored.due, soonest)
            continue
        now += said[0] if step == "pass" else 0
        fallen = []
        for rows in (bounded, whole):
            rows.begin()
            if step == "put":
                rows.put((said[0],), number, None if said[1] is None else now + said[1])
            elif step == "delete":
                rows.delete((said[0],))
            elif step == "undone":
                for key, after in said[0]:
                    rows.put((key,), "undone", None if after is None else now + after)
                rows.undo()
            else:
                found = []
                for at, key in rows.take_due(now):
                    found.append((at, key, rows.get(key)))
                    if (at + int(key[0])) % 3 == 0:
                        rows.put(key, "again", now + 1 + int(key[0]))
                    else:
                        rows.delete(key)
                fallen.append(found)
        assert fallen[:1] == fallen[1:]
        assert [bounded.get((key,)) for key in range(10)] == [whole.get((key,)) for key in range(10)]
        dues = [row.due_us for row in whole._cache.values() if row is not None and row.due_us is not None]
        for rows in (bounded, whole):
            next_us = rows.next_due()
            assert not dues or (next_us is not None and next_us <= min(dues))


def test_the_queue_stays_short_however_many_rows_fall_due() -> None:
    """Ten thousand sessions a quarter of an hour ahead, of which a hundred wait in memory."""
    stored = Stored()
    rows = State(stored.rows.get, stored.due, soonest=100)
    for at in range(10_000):
        rows.put(("session", at), "x", at)
        if at % 50 == 0:
            stored.write(rows.take_changes(keep=200))
        assert len(rows._queue) <= 200 and len(rows._due_by_key) <= 200 and len(rows._cache) <= 300
    stored.write(rows.take_changes(keep=200))
    found = []
    for one in rows.take_due(10_000):
        found.append(one)
        rows.delete(one[1])
        assert len(rows._queue) <= 200
    assert found == [(at, ("session", at)) for at in range(10_000)]


def test_a_row_that_is_gone_or_falls_due_later_calls_for_no_tick() -> None:
    state = State()
    state.put(("a", 1), "reserved", 10)
    state.put(("a", 2), "session", 20)
    state.put(("a", 2), "session", 50)
    state.put(("a", 3), "row", 30)
    state.delete(("a", 1))
    assert state.next_due() == 30
    state.put(("a", 3), "row")
    assert state.next_due() == 50
    assert list(state.take_due(49)) == []
    assert list(state.take_due(50)) == [(50, ("a", 2))]
    assert state.next_due() is None
