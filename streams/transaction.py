"""What follows from a run of records, in one transaction on Kafka: what is derived, rows that changed, the position.

Rows are many and small, so they are packed into batches here; the producer would keep a promise for each of them.
"""

import asyncio
from collections.abc import Awaitable, Iterable, Iterator
from typing import Any

import aiokafka.producer.sender
from aiokafka import AIOKafkaProducer
from aiokafka.errors import IllegalOperation
from aiokafka.producer.message_accumulator import BatchBuilder

from ledger.faults import point
from ledger.log.admin import MAX_DERIVED
from ledger.log.cluster import Cluster
from ledger.topics import ROWS
from streams import changelog
from streams.chain import Derived
from streams.changelog import Entry
from streams.state import Change, Reached

aiokafka.producer.sender.BACKOFF_OVERRIDE = 0.002  # it sleeps so long where one transaction follows another

BATCH = 512 << 10
"""Bytes of a batch before it is packed; a topic of rows takes a megabyte."""


def producer_of(cluster: Cluster, partition: int) -> AIOKafkaProducer:
    """Who starts it fences who had the partition before."""
    return AIOKafkaProducer(
        **cluster.aio(), transactional_id=f"{cluster.folds}-{partition}",
        acks="all", compression_type="zstd", linger_ms=0, max_batch_size=BATCH, max_request_size=MAX_DERIVED,
    )  # fmt: skip


async def commit(
    producer: AIOKafkaProducer, cluster: Cluster, partition: int, derived: Derived, reached: Reached, change: Change
) -> int:
    """All of it or nothing; the offset of the topic of rows behind it."""
    point("worker.before_transaction")
    await producer.begin_transaction()
    rows = cluster.topic(ROWS)
    sent: list[Awaitable[Any]] = []
    last = 0
    try:
        for topic, one in derived:
            headers = [(key, value.encode()) for key, value in one.headers.items()]
            name = cluster.topic(topic)
            sent.append(
                await producer.send(
                    name, one.value, one.key.encode(), partition, timestamp_ms=one.time_ms, headers=headers
                )
            )
        for batch in _batches(producer, changelog.written(reached, change)):
            last = batch.record_count()
            sent.append(await producer.send_batch(batch, rows, partition=partition))
    except IllegalOperation:  # one that was sent before has failed, and ended the transaction: it says why
        await asyncio.gather(*sent)
        raise
    # All are awaited: aiokafka commits a transaction in which a send has failed.
    stood = await asyncio.gather(*sent)
    point("worker.inside_transaction")
    await producer.commit_transaction()
    point("worker.after_transaction")
    return int(stood[-1].offset) + last


def _batches(producer: AIOKafkaProducer, entries: Iterable[Entry]) -> Iterator[BatchBuilder]:
    batch = producer.create_batch()
    for key, value in entries:
        said = {"timestamp": None, "key": key.encode(), "value": value}
        if batch.append(**said) is None:  # it is full
            yield batch
            batch = producer.create_batch()
            batch.append(**said)
    yield batch
