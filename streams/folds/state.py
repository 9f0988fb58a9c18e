"""The rows of one partition: what the folds remember, and when it falls due.

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
"""The name of the fold first, then whatever tells its rows apart."""

key_text: Callable[[Key], str] = lru_cache(maxsize=20_000)(json.dumps)
"""A key as stores have it. Most come again and again."""


class Row(msgspec.Struct, frozen=True, gc=False):
    value: Any
    due_us: int | None  # when the fold wants to be asked again, in the log's time


Load = Callable[[Key], Row | None]
"""The row of a key in a store, if it holds one."""

Due = Callable[[int, int], list[tuple[int, Key]]]
"""What falls due after a moment in a store, the soonest first: at least so many rows where there are so many, and
of the last moment all."""

FIRST, LAST = -(1 << 62), 1 << 62
_UNREAD = Row(None, None)
SOONEST = 5_000
KEPT = 10_000


class State:
    """Reads through to a store, keeps what was read, and collects what changed until it is taken.

    With a store, memory is bounded: of what falls due only the soonest rows wait in a queue, and the next are read
    from the store where it ends. Without one, everything stays here.
    """

    def __init__(self, load: Load = lambda key: None, due: Due | None = None, soonest: int = SOONEST) -> None:
        self._load = load
        self._cache: dict[Key, Row | None] = {}
        self._older: dict[Key, Row | None] = {}  # what was read a while ago; the cache goes before it
        self._changes: list[tuple[Key, Row | None]] = []  # each key that was written, with what it held before
        self._begun = 0
        self._due = due
        self._soonest = soonest
        self._until = LAST if due is None else FIRST  # whatever falls due up to here is in the queue
        self._longest = LAST if due is None else 2 * soonest
        self._queue: list[tuple[int, Key]] = []
        self._queued: dict[Key, int] = {}  # of the entries of a key the one that counts

    def get(self, key: Key) -> Any:
        """The row's value; None where there is no such row."""
        row = self._row(key)
        return None if row is None else row.value

    def put(self, key: Key, value: Any, due_us: int | None = None) -> None:
        self._write(key, Row(value, due_us))
        if due_us is not None:
            self._await(due_us, key)

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
        while (next_us := self.next_due()) is not None and next_us <= now_us:
            at, key = heapq.heappop(self._queue)
            if self._queued.get(key) != at:
                continue
            del self._queued[key]
            row = self._row(key)
            if row is None or row.due_us is None:
                continue
            if row.due_us > at:
                self._await(row.due_us, key)
            else:
                yield at, key

    def next_due(self) -> int | None:
        """A time before which nothing falls due; it may be too early, never too late."""
        if not self._queue and self._due is not None and self._until < LAST:
            self._read_on(self._due)
        return self._queue[0][0] if self._queue else None

    def take_changes(self, keep: int = KEPT) -> dict[Key, Row | None]:
        """What changed since the last call (None is a deletion), to be written to the store before another row is
        asked for. Forgets what was not asked for since the last ``keep`` rows were."""
        changed = {key: self._cache[key] for key, _ in self._changes}
        self._changes.clear()
        self._begun = 0
        if len(self._cache) > keep and self._due is not None:
            self._older, self._cache = self._cache, {}
        return changed

    def _row(self, key: Key) -> Row | None:
        row = self._cache.get(key, _UNREAD)
        if row is _UNREAD:
            row = self._cache[key] = self._older[key] if key in self._older else self._load(key)
        return row

    def _write(self, key: Key, row: Row | None) -> None:
        self._changes.append((key, self._row(key)))
        self._cache[key] = row

    def _await(self, at: int, key: Key) -> None:
        if at <= self._until and at < self._queued.get(key, LAST):
            self._queued[key] = at
            heapq.heappush(self._queue, (at, key))
            if len(self._queue) > self._longest:
                self._shorten()

    def _shorten(self) -> None:
        """Forget what falls due latest, and what no longer counts. Only whole moments are told apart."""
        counts = sorted((at, key) for key, at in self._queued.items())
        self._until = counts[min(self._soonest, len(counts)) - 1][0]
        self._queue = [(at, key) for at, key in counts if at <= self._until]  # in order, and so a heap
        self._queued = {key: at for at, key in self._queue}
        self._longest = 2 * max(self._soonest, len(self._queue))

    def _read_on(self, due: Due) -> None:
        """Go on in the store where the queue ends, and among what changed and is not stored yet."""
        after, stored = self._until, due(self._until, self._soonest)
        self._until = stored[-1][0] if len(stored) >= self._soonest else LAST
        changed = ((row.due_us, key) for key, _ in self._changes if (row := self._cache[key]) is not None)
        for at, key in [*stored, *((at, key) for at, key in changed if at is not None and at > after)]:
            self._await(at, key)
