"""The feed of decisions: ``tally.decisions`` is followed once in a process, for all subscribers.

A subscriber pulls from its own position: new decisions from memory, older ones from the log. So nothing is kept for one
that is slow, and one that comes again goes on exactly where it was."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple, TypeVar

import anyio

from ingest.api.decisions.grant_states import GrantStates
from ingest.api.decisions.messages import Decision, read_decisions
from ingest.api.decisions.position import DecisionPosition
from ledger.log import Log, partition_of, seek_cause
from ledger.log.topics import DECISIONS, EVENTS

POLL_INTERVAL_S, WOKEN_POLL_INTERVAL_S = 0.1, 1.0
"""The delay between reads while somebody subscribes: of a log that wakes nobody, and of one that does."""
MAX_RECENT = 2_000
"""Decisions of a partition that are kept in memory."""
T = TypeVar("T")


class Page(NamedTuple):
    """Decisions after a position, and the position up to which they reach."""

    decisions: Sequence[Decision]
    position: DecisionPosition


class Partition:
    """One partition of ``tally.decisions``: the states of its grants at ``position``, and the last decisions, which are
    all after ``recent_since``."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.next_offset = 0
        self.position = self.recent_since = DecisionPosition(number)
        self.recent: deque[Decision] = deque()
        self.states: dict[str, GrantStates] = {}

    def find_states(self, organization: str) -> GrantStates:
        return self.states.setdefault(organization, GrantStates())

    def read_batch(self, log: Log) -> bool:
        """Read what comes next on the log. False where nothing does."""
        records = log.read(DECISIONS, self.number, self.next_offset)
        for record in records:
            for decision in read_decisions(record):
                self.find_states(decision.organization).apply(decision.line, decision.body)
                self.recent.append(decision)
                self.position = decision.position
        while len(self.recent) > MAX_RECENT:
            self.recent_since = self.recent.popleft().position
        if records:
            self.next_offset = records[-1].offset + 1
        return bool(records)


class Feed:
    """Follows the partitions of subscribers. ``open_log`` opens a log of its own, with the first of them; all that
    reads it runs in one thread at a time."""

    def __init__(self, open_log: Callable[[], Log], *, is_woken: bool) -> None:
        self._open_log = open_log
        self._log: Log | None = None
        self._generation: int | None = None
        self._poll_interval_s = WOKEN_POLL_INTERVAL_S if is_woken else POLL_INTERVAL_S
        self._partitions: dict[int, Partition] = {}
        self._subscribers: dict[int, int] = {}
        self._following: asyncio.Task[None] | None = None
        self._wake, self._news = asyncio.Event(), asyncio.Event()
        self._thread = anyio.CapacityLimiter(1)
        self.is_ending = False

    def wake(self) -> None:
        """Look at the log at once: something was derived."""
        self._wake.set()

    def end(self) -> None:
        """End all subscriptions: the server shuts down."""
        self.is_ending = True
        self._tell_news()

    def close(self) -> None:
        if self._log is not None:
            self._log.close()

    @asynccontextmanager
    async def subscribe(self, number: int) -> AsyncIterator[None]:
        """Follow a partition, from its end now on. TallyError where the log cannot be read."""
        self._subscribers[number] = self._subscribers.get(number, 0) + 1
        try:
            await self._catch_up(number)
            if self._following is None or self._following.done():
                self._following = asyncio.get_running_loop().create_task(self._follow())
            yield
        finally:
            self._subscribers[number] -= 1
            if not self._subscribers[number]:
                del self._subscribers[number]
            self.wake()  # the last one ends the following

    async def read_after(self, position: DecisionPosition) -> Page:
        """Read decisions after a position: a part of them, where they are many."""
        return await self._run(lambda: self._read_after(self._find_partition(position.partition), position))

    async def query(self, organization: str, query: Callable[[GrantStates, DecisionPosition], T]) -> T:
        """Ask something of the states of an organization's grants, and of the position at which they are."""
        partition = self._find_partition(partition_of(organization))
        return await self._run(lambda: query(partition.find_states(organization), partition.position))

    async def find_time_us(self, position: DecisionPosition) -> int | None:
        """Find the log's time at a position. None where the log does not hold it: it ends before."""
        return await self._run(lambda: _find_time_us(self._get_log(), position))

    async def wait_for_news(self, position: DecisionPosition, timeout_s: float) -> None:
        """Wait until there are decisions after a position, or the feed ends, at most so long. TallyError where the log
        cannot be read."""
        try:
            async with asyncio.timeout(timeout_s):
                while self._find_partition(position.partition).position <= position and not self.is_ending:
                    if self._following is not None and self._following.done():
                        self._following.result()
                    await self._news.wait()
        except TimeoutError:
            return

    async def _follow(self) -> None:
        """Read what is derived as long as anybody subscribes."""
        try:
            while self._subscribers and not self.is_ending:
                self._wake.clear()
                before = {number: partition.position for number, partition in self._partitions.items()}
                for number in list(self._subscribers):
                    await self._catch_up(number)
                if before != {number: partition.position for number, partition in self._partitions.items()}:
                    self._tell_news()
                try:
                    async with asyncio.timeout(self._poll_interval_s):
                        await self._wake.wait()
                except TimeoutError:
                    continue
        finally:
            self._tell_news()

    async def _catch_up(self, number: int) -> None:
        while await self._run(lambda: self._read_batch(number)):
            pass

    def _read_batch(self, number: int) -> bool:
        log = self._get_log()
        log.follow()
        if log.generation != self._generation:  # what it derived may differ
            self._partitions.clear()
            self._generation = log.generation
        return self._find_partition(number).read_batch(log)

    def _read_after(self, partition: Partition, position: DecisionPosition) -> Page:
        if position >= partition.recent_since:
            decisions = [decision for decision in partition.recent if decision.position > position]
            return Page(decisions, max(position, partition.position))
        log = self._get_log()
        offset = seek_cause(log, DECISIONS, partition.number, position.offset)
        while offset < partition.next_offset and (records := log.read(DECISIONS, partition.number, offset)):
            decisions = [
                decision for record in records for decision in read_decisions(record) if decision.position > position
            ]
            if decisions:
                return Page(decisions, decisions[-1].position)
            offset = records[-1].offset + 1
        return Page((), partition.position)

    def _find_partition(self, number: int) -> Partition:
        return self._partitions.setdefault(number, Partition(number))

    def _get_log(self) -> Log:
        if self._log is None:
            self._log = self._open_log()
        return self._log

    def _tell_news(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def _run(self, work: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(work, limiter=self._thread)


def _find_time_us(log: Log, position: DecisionPosition) -> int | None:
    if position.offset >= log.end(EVENTS, position.partition):
        return None if position.offset else 0
    records = log.read(EVENTS, position.partition, position.offset, max_bytes=1)
    return records[0].time_ms * 1000 if records else 0
