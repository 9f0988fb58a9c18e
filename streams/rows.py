"""The rows of one partition: what the folds remember, and when it falls due.

Values are immutable and can be written as JSON; what is changed is put again. So a snapshot costs nothing,
and what one event changed can be undone.
"""

import heapq
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

Key = tuple[str | int, ...]
"""The name of the fold first, then whatever tells its rows apart."""


class Row(msgspec.Struct, frozen=True):
    value: Any
    due_us: int | None  # when the fold wants to be asked again, in the log's time


Load = Callable[[Key], Row | None]


class Rows:
    """Reads through to a store, keeps what was read, and collects what changed until it is taken."""

    def __init__(self, load: Load, due: list[tuple[int, Key]]) -> None:
        self._load = load
        self._cache: dict[Key, Row | None] = {}
        self._changes: list[tuple[Key, Row | None]] = []  # each key that was written, with what it held before
        self._begun = 0
        self._queue = due
        heapq.heapify(self._queue)
        self._queued = {key: at for at, key in due}

    def get(self, key: Key) -> Any:
        """The row's value; None where there is no such row."""
        row = self._cache[key] if key in self._cache else self._read(key)
        return None if row is None else row.value

    def put(self, key: Key, value: Any, due_us: int | None = None) -> None:
        self._write(key, Row(value, due_us))
        if due_us is not None and due_us < self._queued.get(key, due_us + 1):
            self._queued[key] = due_us
            heapq.heappush(self._queue, (due_us, key))

    def delete(self, key: Key) -> None:
        self._write(key, None)

    def begin(self) -> None:
        """From here on, changes can be undone."""
        self._begun = len(self._changes)

    def undo(self) -> None:
        """Take back every change since :meth:`begin`."""
        while len(self._changes) > self._begun:
            key, row = self._changes.pop()
            self._cache[key] = row

    def fell_due(self, now_us: int) -> Iterator[tuple[int, Key]]:
        """Rows whose time has come, by time and key. Whoever is given one puts it again with a later time,
        without one, or deletes it."""
        while self._queue and self._queue[0][0] <= now_us:
            at, key = heapq.heappop(self._queue)
            if self._queued.get(key) != at:
                continue
            del self._queued[key]
            row = self._cache[key] if key in self._cache else self._read(key)
            if row is None or row.due_us is None:
                continue
            if row.due_us > at:
                self._queued[key] = row.due_us
                heapq.heappush(self._queue, (row.due_us, key))
            else:
                yield at, key

    def next_due(self) -> int | None:
        """A time before which nothing falls due; it may be too early, never too late."""
        return self._queue[0][0] if self._queue else None

    def take_changes(self, keep: int = 100_000) -> dict[Key, Row | None]:
        """What changed since the last call (None is a deletion). Forgets what was read beyond ``keep`` rows."""
        changed = {key: self._cache[key] for key, _ in self._changes}
        self._changes.clear()
        self._begun = 0
        if len(self._cache) > keep:
            self._cache = {}
        return changed

    def _read(self, key: Key) -> Row | None:
        row = self._cache[key] = self._load(key)
        return row

    def _write(self, key: Key, row: Row | None) -> None:
        before = self._cache[key] if key in self._cache else self._read(key)
        self._changes.append((key, before))
        self._cache[key] = row
