"""The state of one partition: rows that the folds remember, and when each falls due.

Values are immutable and can be written as JSON; what is changed is put again. So a snapshot costs nothing,
and what one event changed can be undone.
"""

import heapq
import json
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import msgspec

Key = tuple[str | int, ...]
"""The name of the fold, then whatever tells its rows apart."""

key_text: Callable[[Key], str] = lru_cache(maxsize=20_000)(json.dumps)
"""Write a key as stores have it. Most keys come again and again."""


class Row(msgspec.Struct, frozen=True, gc=False):
    value: Any
    due_us: int | None  # when the fold wants to be asked again, in the log's time


Load = Callable[[Key], Row | None]
"""Read the row of a key from a store; None where it holds none."""

Due = Callable[[int, int], list[tuple[int, Key]]]
"""Read what falls due after a moment from a store, the soonest first: at least so many rows where there are so many,
and all of the last moment."""

FIRST, LAST = -(1 << 62), 1 << 62
_UNREAD = Row(None, None)
QUEUE_LENGTH = 5_000
MAX_CACHED_ROWS = 10_000


class State:
    """Read through to a store, cache rows, and collect changes until they are taken.

    With a store, memory is bounded: of what falls due only the soonest rows wait in a queue, and the next are read
    from the store where it ends. Without one, everything stays here.
    """

    def __init__(self, load: Load = lambda key: None, due: Due | None = None, soonest: int = QUEUE_LENGTH) -> None:
        self._load = load
        self._cache: dict[Key, Row | None] = {}
        self._previous_cache: dict[Key, Row | None] = {}  # what was read a while ago; the cache goes before it
        self._changes: list[tuple[Key, Row | None]] = []  # each key that was written, with what it held before
        self._undo_start = 0
        self._due = due
        self._soonest = soonest
        self._queued_until_us = LAST if due is None else FIRST  # whatever falls due up to here is in the queue
        self._max_queue_length = LAST if due is None else 2 * soonest
        self._queue: list[tuple[int, Key]] = []
        self._due_by_key: dict[Key, int] = {}  # of the entries of a key the one that counts

    def get(self, key: Key) -> Any:
        """Return the row's value; None where there is no such row."""
        row = self._row(key)
        return None if row is None else row.value

    def put(self, key: Key, value: Any, due_us: int | None = None) -> None:
        """Write a row. Its fold is asked again at ``due_us`` of the log's time."""
        self._write(key, Row(value, due_us))
        if due_us is not None:
            self._enqueue(due_us, key)

    def delete(self, key: Key) -> None:
        """Delete a row."""
        self._write(key, None)

    def begin(self) -> None:
        """Make the changes from here on undoable."""
        self._undo_start = len(self._changes)

    def undo(self) -> None:
        """Take back every change since :meth:`begin`."""
        while len(self._changes) > self._undo_start:
            key, row = self._changes.pop()
            self._cache[key] = row

    def take_due(self, now_us: int) -> Iterator[tuple[int, Key]]:
        """Yield the rows that fell due, by time and key. The caller writes each again, with a later time or none, or
        deletes it."""
        while (next_us := self.next_due()) is not None and next_us <= now_us:
            due_us, key = heapq.heappop(self._queue)
            del self._due_by_key[key]
            yield due_us, key

    def next_due(self) -> int | None:
        """Return when the next row falls due; None where none does. A row that was deleted, or written again with a
        later time, is passed over, or a partition in which nothing arrives would get a tick for it."""
        while True:
            if not self._queue and self._due is not None and self._queued_until_us < LAST:
                self._refill_queue(self._due)
            if not self._queue:
                return None
            due_us, key = self._queue[0]
            is_last = self._due_by_key.get(key) == due_us
            row = self._row(key) if is_last else None
            if row is not None and row.due_us is not None and row.due_us <= due_us:
                return due_us
            heapq.heappop(self._queue)
            if is_last:
                del self._due_by_key[key]
            if row is not None and row.due_us is not None:
                self._enqueue(row.due_us, key)

    def take_changes(self, keep: int = MAX_CACHED_ROWS) -> dict[Key, Row | None]:
        """Return the changes since the last call (None is a deletion), to be written to the store before another row is
        read. Drop the rows that were not read since the last ``keep`` rows were."""
        changes = {key: self._cache[key] for key, _ in self._changes}
        self._changes.clear()
        self._undo_start = 0
        if len(self._cache) > keep and self._due is not None:
            self._previous_cache, self._cache = self._cache, {}
        return changes

    def _row(self, key: Key) -> Row | None:
        row = self._cache.get(key, _UNREAD)
        if row is _UNREAD:
            row = self._cache[key] = self._previous_cache[key] if key in self._previous_cache else self._load(key)
        return row

    def _write(self, key: Key, row: Row | None) -> None:
        self._changes.append((key, self._row(key)))
        self._cache[key] = row

    def _enqueue(self, due_us: int, key: Key) -> None:
        if due_us <= self._queued_until_us and due_us < self._due_by_key.get(key, LAST):
            self._due_by_key[key] = due_us
            heapq.heappush(self._queue, (due_us, key))
            if len(self._queue) > self._max_queue_length:
                self._shorten_queue()

    def _shorten_queue(self) -> None:
        """Drop from the queue what falls due latest, and what no longer counts. A moment is dropped whole."""
        soonest = sorted((due_us, key) for key, due_us in self._due_by_key.items())
        self._queued_until_us = soonest[min(self._soonest, len(soonest)) - 1][0]
        self._queue = [
            (due_us, key) for due_us, key in soonest if due_us <= self._queued_until_us
        ]  # in order, and so a heap
        self._due_by_key = {key: due_us for due_us, key in self._queue}
        self._max_queue_length = 2 * max(self._soonest, len(self._queue))

    def _refill_queue(self, due: Due) -> None:
        """Refill the queue from the store where it ends, and from changes that are not stored yet."""
        after, rows = self._queued_until_us, due(self._queued_until_us, self._soonest)
        self._queued_until_us = rows[-1][0] if len(rows) >= self._soonest else LAST
        changed = ((row.due_us, key) for key, _ in self._changes if (row := self._cache[key]) is not None)
        for due_us, key in [
            *rows,
            *((due_us, key) for due_us, key in changed if due_us is not None and due_us > after),
        ]:
            self._enqueue(due_us, key)
