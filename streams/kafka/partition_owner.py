"""A partition on Kafka and the one that folds it: rows of its own, and one transaction a batch.

To take a partition is to fence who had it, and only then to read the rows. Outputs, rows and position stand in one
transaction, so whoever comes next finds all of a batch or none of it; memory changes after the commit.
"""

import asyncio
import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, ProducerFenced

from ledger.errors import LogDamaged, TallyError
from ledger.home.disk import full
from ledger.log import Record
from ledger.log.kafka.cluster import Cluster
from ledger.log.kafka.log import KafkaLog
from ledger.log.topics import EVENTS, STATE
from streams.folds.entry import Documents
from streams.folds.state import State
from streams.kafka import changelog
from streams.kafka.changelog import Entry
from streams.kafka.state_cache import Cache
from streams.kafka.transaction import commit, producer_of
from streams.partition_state import Change, Reached
from streams.runtime import build_tick

logging.getLogger("aiokafka").setLevel(logging.WARNING)  # Faust lets it make a line of every send, and shows none

FAR = 1_000
"""Beyond so many repeats it is quicker to seek."""
RECORDS, BYTES = 1_000, 1 << 20
"""The most that one transaction takes: more of either would keep heartbeats and other partitions waiting. As much may
wait for the next one, and a record more."""
ABSORB = 50_000
TICK_S, SEEK_S = 1.0, 2.0
POLL_INTERVAL_S, GATHER_S = 0.005, 0.25
"""How often it looks whether enough for a transaction has arrived, and how long it waits for that at most."""
RETRY_DELAY_S, FENCED_S = 2.0, 5.0
"""When a partition is taken again: after a failure; after another one has taken it, which a rebalance then tells."""

Acknowledge = Callable[[], None]
Arrived = tuple[Record, Acknowledge]


class Shared(NamedTuple):
    """What all partitions of a worker use."""

    log: KafkaLog
    cluster: Cluster
    documents: Documents
    folder: Path
    rows_id: str
    seek: Callable[[int, int], Awaitable[None]]


class Owner:
    """Folds one partition for as long as its task runs."""

    def __init__(self, number: int, shared: Shared) -> None:
        self.number = number
        self.reached = Reached(0, "")
        self.stopped: str | None = None
        """Why it does not go on, and is tried again and again; None while it does."""
        self._takes = True
        self._queue: asyncio.Queue[Arrived] = asyncio.Queue()
        self._bytes = 0
        self._room = asyncio.Event()
        self._room.set()
        self._sought = self._ticked = self._took_s = 0.0
        self._shared = shared
        self._cluster = shared.cluster

    async def offer(self, record: Record, acknowledge: Acknowledge) -> None:
        """A record of the partition has arrived. Where the partition cannot go on it is passed over, so that others
        need not wait behind it, and asked for again later."""
        await self._room.wait()
        if self._takes:
            self._queue.put_nowait((record, acknowledge))
            self._bytes += len(record.value)
            if self._queue.qsize() >= RECORDS or self._bytes >= BYTES:
                self._room.clear()

    async def run(self) -> None:
        """Until it is cancelled. Raises what is a defect of ours."""
        while not _cancelled():
            wait_s = RETRY_DELAY_S
            try:
                async with AsyncExitStack() as held:
                    held.callback(self._let_go)
                    await self._hold(held)
            except ProducerFenced:
                wait_s = FENCED_S
            except (KafkaError, TallyError, OSError, sqlite3.Error) as error:
                on_disk = isinstance(error, OSError | sqlite3.Error)
                why = (full(self._shared.folder) if on_disk else None) or str(error)
                if why != self.stopped:
                    print(f"partition {self.number} is not folded, and tried again: {why}", flush=True)
                self.stopped = why
            else:
                return  # it was told to
            await asyncio.sleep(wait_s)

    def status(self) -> dict[str, Any]:
        """For who looks: the offset that comes next, and why it stands still where it does."""
        return {"next_offset": self.reached.next_offset, "waiting": self._queue.qsize(), "stopped": self.stopped}

    async def _hold(self, held: AsyncExitStack) -> None:
        producer = producer_of(self._cluster, self.number)
        held.push_async_callback(producer.stop)
        await producer.start()
        cache = Cache(self._shared.folder, self.number, self._shared.rows_id)
        held.push(lambda _, error, __: cache.close(error))
        await self._load(cache)
        self.reached = cache.state.reached(self.number) or Reached(0, "")
        if self.reached.next_offset:
            await asyncio.to_thread(self.reached.find_resume_offset, self._shared.log, self.number)
        rows = cache.state.open_state(self.number)
        if not self._takes:
            self._takes = True
            await self._seek()
        self.stopped = None
        while not _cancelled():
            arrived = await self._batch()
            records = await self._following(arrived)
            if records:
                derived, reached, change = cache.state.fold_records(records, rows, self._shared.documents)
                begun = time.monotonic()
                end = await commit(producer, self._cluster, self.number, derived, reached, change)
                self._took_s = time.monotonic() - begun
                cache.absorb([change], end)
                self.reached = reached
            for record, acknowledge in arrived:
                if record.offset < self.reached.next_offset:
                    acknowledge()
            if not records:
                await self._tick(rows)

    def _let_go(self) -> None:
        self._takes = False
        while not self._queue.empty():
            self._queue.get_nowait()
        self._bytes = 0
        self._room.set()  # whoever waits to put one more goes on

    async def _tick(self, rows: State) -> None:
        """Append a tick when something has fallen due. It comes back like any record."""
        due_us = rows.next_due()
        if due_us is None or due_us > time.time() * 1_000_000 or time.monotonic() < self._ticked + TICK_S:
            return
        self._ticked = time.monotonic()  # the broker's clock may be behind ours: not again at once
        draft = build_tick(self.number, self.reached.next_offset, due_us)
        await asyncio.to_thread(self._shared.log.append, EVENTS, [draft])

    async def _load(self, cache: Cache) -> None:
        """Absorb what the topic of rows holds beyond the cache."""
        at = TopicPartition(self._cluster.topic(STATE), self.number)
        consumer = AIOKafkaConsumer(
            **self._cluster.aio(), isolation_level="read_committed", enable_auto_commit=False,
            auto_offset_reset="earliest", max_partition_fetch_bytes=4 << 20,
        )  # fmt: skip
        try:
            await consumer.start()
            consumer.assign([at])
            end = (await consumer.end_offsets([at]))[at]
            if cache.absorbed > end:
                raise LogDamaged(
                    f"the topic {at.topic} ends at {end} in partition {self.number}, and was read to {cache.absorbed} "
                    f"before: restore it, or derive everything again; {self._shared.folder} may then be deleted"
                )
            consumer.seek(at, cache.absorbed)
            changes: list[Change] = []
            while await consumer.position(at) < end:
                found = await consumer.getmany(at, timeout_ms=1000, max_records=ABSORB)
                changes.append(changelog.read_change(Entry(one.key.decode(), one.value) for one in found.get(at, ())))
            cache.absorb(changes, end)
        finally:
            await consumer.stop()

    async def _batch(self) -> list[Arrived]:
        """What has arrived, at most a transaction's worth; nothing after a while without. Behind the first it waits for
        more, about as long as the last transaction took: they cost the same however little is in them, and a worker
        that is given small records would do nothing else."""
        try:
            async with asyncio.timeout(TICK_S / 4):
                arrived = [await self._queue.get()]
        except TimeoutError:
            return []
        gathered = time.monotonic() + min(self._took_s, GATHER_S)
        while self._room.is_set() and time.monotonic() < gathered:
            await asyncio.sleep(POLL_INTERVAL_S)
        while not self._queue.empty():
            arrived.append(self._queue.get_nowait())
        self._bytes = 0
        self._room.set()
        return arrived

    async def _following(self, arrived: Sequence[Arrived]) -> list[Record]:
        """Those that come next. Some may be repeats, and after a seek some may be left of what was read before it;
        where those that come next do not, they are sought, if the log has them."""
        records: list[Record] = []
        expected = self.reached.next_offset
        elsewhere = False
        for record, _ in arrived:
            if record.offset == expected:
                records.append(record)
                expected += 1
            elsewhere = elsewhere or record.offset > expected or record.offset < expected - FAR
        if (elsewhere or not arrived) and not records and time.monotonic() > self._sought + SEEK_S:
            # Also where nothing arrives: Faust may have dropped, in a rebalance, the last that there was.
            self._sought = time.monotonic()
            if await asyncio.to_thread(self._shared.log.read, EVENTS, self.number, expected, 1):
                await self._seek()
        return records

    async def _seek(self) -> None:
        await self._shared.seek(self.number, self.reached.next_offset)
        self._sought = time.monotonic()


def _cancelled() -> bool:
    """Whether this task was told to end. What it awaited may have kept that to itself, as ``asyncio.wait_for`` does at
    times before Python 3.12: the partition would have two owners, who take it from each other for ever."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
