"""The owner of a partition on Kafka: it folds the records with its own state, one transaction a batch.

An owner first fences its predecessor, and only then reads the state. Outputs, state and position are one transaction,
so the next owner finds all of a batch or none of it; memory changes after the commit.
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
from ledger.home.disk import describe_full_disk
from ledger.log import Record
from ledger.log.kafka.cluster import Cluster
from ledger.log.kafka.log import KafkaLog
from ledger.log.topics import EVENTS, STATE
from streams.folds.entry import Documents, Originals
from streams.folds.event import parse_record
from streams.folds.identity import EventPosition
from streams.folds.state import State
from streams.kafka import changelog
from streams.kafka.changelog import StateRecord
from streams.kafka.state_cache import StateCache
from streams.kafka.transaction import commit, create_producer
from streams.partition_state import (
    Batch,
    Change,
    FoldPosition,
    ReadRecords,
    find_ranges,
    has_restatement,
    split_runs,
)
from streams.runtime import build_tick, read_history, read_originals

logging.getLogger("aiokafka").setLevel(logging.WARNING)  # Faust enables a log line for every send, and shows none

MAX_REPEATED_RECORDS = 1_000
"""Beyond this many repeated records a seek is quicker than reading them."""
MAX_BATCH_RECORDS, MAX_BATCH_BYTES = 1_000, 1 << 20
"""The greatest transaction: more records or bytes would delay heartbeats and other partitions. As much may wait for the
next one, and a record more."""
MAX_FETCH_RECORDS = 50_000
TICK_INTERVAL_S, SEEK_INTERVAL_S = 1.0, 2.0
POLL_INTERVAL_S, MAX_GATHER_S = 0.005, 0.25
"""The interval at which a batch is checked for its size, and the longest wait for more records."""
RETRY_DELAY_S, FENCED_RETRY_DELAY_S = 2.0, 5.0
"""Delays before a partition is opened again: after a failure, and after another owner fenced this one."""

Acknowledge = Callable[[], None]
PendingRecord = tuple[Record, Acknowledge]


class WorkerContext(NamedTuple):
    """The resources that all partitions of a worker share."""

    log: KafkaLog
    cluster: Cluster
    documents: Documents
    folder: Path
    state_topic_id: str
    seek: Callable[[int, int], Awaitable[None]]


class Owner:
    """Fold one partition for as long as its task runs."""

    def __init__(self, number: int, context: WorkerContext) -> None:
        self.number = number
        self.position = FoldPosition(0, "")
        self.stop_reason: str | None = None
        """The reason why folding fails and is retried; None while it goes on."""
        self._is_accepting = True
        self._queue: asyncio.Queue[PendingRecord] = asyncio.Queue()
        self._bytes = 0
        self._queue_room = asyncio.Event()
        self._queue_room.set()
        self._last_seek_s = self._last_tick_s = self._commit_duration_s = 0.0
        self._context = context
        self._cluster = context.cluster

    async def offer(self, record: Record, acknowledge: Acknowledge) -> None:
        """Queue a record of the partition. While folding fails, drop the record, so that other partitions need not wait
        behind it; it is read again later."""
        await self._queue_room.wait()
        if self._is_accepting:
            self._queue.put_nowait((record, acknowledge))
            self._bytes += len(record.value)
            if self._queue.qsize() >= MAX_BATCH_RECORDS or self._bytes >= MAX_BATCH_BYTES:
                self._queue_room.clear()

    async def run(self) -> None:
        """Fold until the task is cancelled. Raise any error that is a defect of this code."""
        while not _is_cancelled():
            wait_s = RETRY_DELAY_S
            try:
                async with AsyncExitStack() as stack:
                    stack.callback(self._drop_queue)
                    await self._own_partition(stack)
            except ProducerFenced:
                wait_s = FENCED_RETRY_DELAY_S
            except (KafkaError, TallyError, OSError, sqlite3.Error) as error:
                on_disk = isinstance(error, OSError | sqlite3.Error)
                reason = (describe_full_disk(self._context.folder) if on_disk else None) or str(error)
                if reason != self.stop_reason:
                    print(f"Partition {self.number} is not folded; retrying: {reason}", flush=True)
                self.stop_reason = reason
            else:
                return  # the task was cancelled
            await asyncio.sleep(wait_s)

    def status(self) -> dict[str, Any]:
        """Return the next offset, the records waiting, and the reason of a failure if there is one."""
        return {"next_offset": self.position.next_offset, "waiting": self._queue.qsize(), "stopped": self.stop_reason}

    async def _own_partition(self, stack: AsyncExitStack) -> None:
        producer = create_producer(self._cluster, self.number)
        stack.push_async_callback(producer.stop)
        await producer.start()
        cache = StateCache(self._context.folder, self.number, self._context.state_topic_id)
        stack.push(lambda _, error, __: cache.close(error))
        await self._load_cache(cache)
        self.position = cache.state.position(self.number) or FoldPosition(0, "")
        if self.position.next_offset:
            await asyncio.to_thread(self.position.find_resume_offset, self._context.log, self.number)
        state = cache.state.open_state(self.number)
        if not self._is_accepting:
            self._is_accepting = True
            await self._seek()
        self.stop_reason = None
        while not _is_cancelled():
            batch = await self._take_batch()
            records = await self._select_next(batch)
            for run_records in split_runs(records):
                run = cache.state.parse_batch(run_records, await self._read_history(run_records))
                originals = await self._read_originals(run)
                derived, position, change = cache.state.fold_batch(run, state, self._context.documents, originals)
                start_s = time.monotonic()
                end = await commit(producer, self._cluster, self.number, derived, position, change)
                self._commit_duration_s = time.monotonic() - start_s
                cache.absorb([change], end)
                self.position = position
            for record, acknowledge in batch:
                if record.offset < self.position.next_offset:
                    acknowledge()
            if not records:
                await self._tick(state)

    def _drop_queue(self) -> None:
        self._is_accepting = False
        while not self._queue.empty():
            self._queue.get_nowait()
        self._bytes = 0
        self._queue_room.set()  # `offer` may be waiting for room

    async def _tick(self, state: State) -> None:
        """Append a tick when something has fallen due. It arrives like any record."""
        due_us = state.next_due()
        if due_us is None or due_us > time.time() * 1_000_000 or time.monotonic() < self._last_tick_s + TICK_INTERVAL_S:
            return
        self._last_tick_s = time.monotonic()  # the broker's clock may be behind ours: wait before another tick
        draft = build_tick(self.number, self.position.next_offset, due_us)
        await asyncio.to_thread(self._context.log.append, EVENTS, [draft])

    async def _load_cache(self, cache: StateCache) -> None:
        """Load the state topic's records that the cache does not hold yet."""
        topic_partition = TopicPartition(self._cluster.topic(STATE), self.number)
        consumer = AIOKafkaConsumer(
            **self._cluster.aio(), isolation_level="read_committed", enable_auto_commit=False,
            auto_offset_reset="earliest", max_partition_fetch_bytes=4 << 20,
        )  # fmt: skip
        try:
            await consumer.start()
            consumer.assign([topic_partition])
            end = (await consumer.end_offsets([topic_partition]))[topic_partition]
            if cache.next_offset > end:
                raise LogDamaged(
                    f"the topic {topic_partition.topic} ends at {end} in partition {self.number}, and was read "
                    f"to {cache.next_offset} before: restore it, or derive everything again; "
                    f"{self._context.folder} may then be deleted"
                )
            consumer.seek(topic_partition, cache.next_offset)
            changes: list[Change] = []
            while await consumer.position(topic_partition) < end:
                fetched = await consumer.getmany(topic_partition, timeout_ms=1000, max_records=MAX_FETCH_RECORDS)
                changes.append(
                    changelog.read_change(
                        StateRecord(message.key.decode(), message.value) for message in fetched.get(topic_partition, ())
                    )
                )
            cache.absorb(changes, end)
        finally:
            await consumer.stop()

    async def _take_batch(self) -> list[PendingRecord]:
        """Take the waiting records, at most a transaction's worth; none after a while without.

        After the first record, wait for more about as long as the last transaction took: a transaction costs the same
        however little it holds, and small records would keep a worker busy with transactions.
        """
        try:
            async with asyncio.timeout(TICK_INTERVAL_S / 4):
                batch = [await self._queue.get()]
        except TimeoutError:
            return []
        deadline_s = time.monotonic() + min(self._commit_duration_s, MAX_GATHER_S)
        while self._queue_room.is_set() and time.monotonic() < deadline_s:
            await asyncio.sleep(POLL_INTERVAL_S)
        while not self._queue.empty():
            batch.append(self._queue.get_nowait())
        self._bytes = 0
        self._queue_room.set()
        return batch

    async def _select_next(self, batch: Sequence[PendingRecord]) -> list[Record]:
        """Select the records that come next.

        Others may be repeats, or were read before a seek. Where the next record does not arrive although the log has
        it, seek.
        """
        records: list[Record] = []
        expected = self.position.next_offset
        is_seek_needed = False
        for record, _ in batch:
            if record.offset == expected:
                records.append(record)
                expected += 1
            is_seek_needed = (
                is_seek_needed or record.offset > expected or record.offset < expected - MAX_REPEATED_RECORDS
            )
        if (is_seek_needed or not batch) and not records and time.monotonic() > self._last_seek_s + SEEK_INTERVAL_S:
            # Also where nothing arrives: Faust may have dropped the last record in a rebalance.
            self._last_seek_s = time.monotonic()
            if await asyncio.to_thread(self._context.log.read, EVENTS, self.number, expected, 1):
                await self._seek()
        return records

    async def _read_originals(self, batch: Batch) -> Originals:
        """Read the lines that the batch refers to, in a thread: other partitions are folded meanwhile. Any other
        is read when it is needed."""
        read = read_originals(self._context.log, self.number)

        def read_lines() -> dict[EventPosition, bytes]:
            return {position: read(*position) for position in batch.originals}

        lines = await asyncio.to_thread(read_lines) if batch.originals else {}

        def read_line(offset: int, event_index: int) -> bytes:
            line = lines.get((offset, event_index))
            return read(offset, event_index) if line is None else line

        return read_line

    async def _read_history(self, records: list[Record]) -> ReadRecords:
        """Read the records before a run that the restatements of its last record reach, in a thread as well."""
        ranges = find_ranges([parse_record(records[-1])]) if has_restatement(records[-1]) else []
        start, read = records[0].offset, read_history(self._context.log, self.number)

        def read_ranges() -> dict[int, Record]:
            ranges_before = [(first, min(end, start)) for first, end in ranges if first < start]
            return {record.offset: record for limits in ranges_before for record in read(*limits)}

        past = await asyncio.to_thread(read_ranges) if ranges else {}

        def read_records(first_offset: int, end_offset: int) -> list[Record]:
            offsets = range(first_offset, end_offset)
            is_read = all(offset in past for offset in offsets)
            return [past[offset] for offset in offsets] if is_read else list(read(first_offset, end_offset))

        return read_records

    async def _seek(self) -> None:
        await self._context.seek(self.number, self.position.next_offset)
        self._last_seek_s = time.monotonic()


def _is_cancelled() -> bool:
    """Tell if this task was cancelled.

    ``asyncio.wait_for`` may swallow a cancellation before Python 3.12; the partition would then have two owners, which
    fence each other for ever.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
