"""Commit a run of records in one Kafka transaction: derived records, changed state, and the position.

They are many small records, so they are packed into batches here; the producer would keep a future for each record.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Iterable, Iterator
from typing import Any, NamedTuple

import aiokafka.producer.sender
from aiokafka import AIOKafkaProducer
from aiokafka.errors import IllegalOperation, KafkaError
from aiokafka.producer.message_accumulator import BatchBuilder

from ledger.fault_points import point
from ledger.log.kafka.cluster import Cluster
from ledger.log.topics import STATE, Topic
from streams.folds.chain import Derived
from streams.kafka import changelog
from streams.partition_state import Change, FoldPosition

aiokafka.producer.sender.BACKOFF_OVERRIDE = 0.002  # the sender sleeps this long between two transactions

MAX_BATCH_BYTES = 512 << 10
"""The greatest batch before compression, or one message; the state topic takes a megabyte."""


class _Message(NamedTuple):
    """A message. Without a timestamp it gets the current time."""

    key: bytes
    value: bytes | None
    timestamp: int | None
    headers: list[tuple[str, bytes]]


def create_producer(cluster: Cluster, partition: int) -> AIOKafkaProducer:
    """Create the producer of a partition. Starting it fences the owner before."""
    return AIOKafkaProducer(
        **cluster.aio(), transactional_id=f"{cluster.folds}-{partition}",
        acks="all", compression_type="zstd", linger_ms=0, max_batch_size=MAX_BATCH_BYTES,
    )  # fmt: skip


async def commit(
    producer: AIOKafkaProducer,
    cluster: Cluster,
    partition: int,
    derived: Derived,
    position: FoldPosition,
    change: Change,
) -> int:
    """Commit all or nothing. Return the next offset of the state topic."""
    point("worker.before_transaction")
    await producer.begin_transaction()
    sends: list[Awaitable[Any]] = []
    record_count = 0
    try:
        for topic, messages in _build_messages(derived, position, change).items():
            for batch in _pack_batches(producer, messages):
                record_count = batch.record_count()
                sends.append(await producer.send_batch(batch, cluster.topic(topic), partition=partition))
    except (KafkaError, IllegalOperation):  # an earlier send failed and ended the transaction: its error is the cause
        await asyncio.gather(*sends)
        raise
    # All are awaited: aiokafka commits a transaction in which a send has failed.
    metadata = await asyncio.gather(*sends)
    point("worker.inside_transaction")
    await producer.commit_transaction()
    point("worker.after_transaction")
    return int(metadata[-1].offset) + record_count


def _build_messages(derived: Derived, position: FoldPosition, change: Change) -> dict[Topic, list[_Message]]:
    """Build the messages of each topic, the state topic last."""
    messages: dict[Topic, list[_Message]] = defaultdict(list)
    for topic, record in derived:
        headers = [(key, value.encode()) for key, value in record.headers.items()]
        messages[topic].append(_Message(record.key.encode(), record.value, record.time_ms, headers))
    messages[STATE] = [
        _Message(key.encode(), value, None, []) for key, value in changelog.encode_change(position, change)
    ]
    return messages


def _pack_batches(producer: AIOKafkaProducer, messages: Iterable[_Message]) -> Iterator[BatchBuilder]:
    batch = producer.create_batch()
    for message in messages:
        if batch.append(**message._asdict()) is None:  # it is full
            yield batch
            batch = producer.create_batch()
            batch.append(**message._asdict())
    yield batch
