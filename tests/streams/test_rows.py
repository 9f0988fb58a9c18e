"""Rows: what is undone, what falls due, what is taken."""

from hypothesis import given
from hypothesis import strategies as st

from streams.rows import Row, Rows


def test_undo_takes_back_what_changed_since_begin() -> None:
    rows = Rows({("a",): Row(1, None)}.get, [])
    rows.put(("b",), 2)
    rows.begin()
    rows.put(("a",), 9)
    rows.delete(("b",))
    rows.put(("c",), 3, due_us=5)
    rows.undo()
    assert (rows.get(("a",)), rows.get(("b",)), rows.get(("c",))) == (1, 2, None)
    assert list(rows.fell_due(10)) == []


@given(st.lists(st.tuples(st.integers(0, 5), st.none() | st.integers(0, 20)), max_size=30))
def test_due_rows_come_by_time_and_key_whatever_was_put_before(puts: list[tuple[int, int | None]]) -> None:
    """In memory or reloaded from what was stored: the same rows fall due in the same order."""
    rows = Rows(lambda key: None, [])
    for key, due in puts:
        rows.put((key,), "x", due)
    stored = {key: row for key, row in rows.take_changes().items() if row is not None}
    reloaded = Rows(stored.get, [(row.due_us, key) for key, row in stored.items() if row.due_us is not None])
    expected = sorted((row.due_us, key) for key, row in stored.items() if row.due_us is not None and row.due_us <= 10)
    for one in (rows, reloaded):
        found = []
        for at, key in one.fell_due(10):
            found.append((at, key))
            one.delete(key)
        assert found == expected
