"""What follows from a run of records, in one transaction on Kafka: what is derived, rows that changed, the position.

It is many records and they are small, so they are packed into batches here; the producer would keep a promise for each.
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
from streams.partition_state import Change, Reached

aiokafka.producer.sender.BACKOFF_OVERRIDE = 0.002  # it sleeps so long where one transaction follows another

BATCH = 512 << 10
"""Bytes of a batch before it is packed, or one message; a topic of rows takes a megabyte."""


class _Message(NamedTuple):
    """Without a time it is of now."""

    key: bytes
    value: bytes | None
    timestamp: int | None
    headers: list[tuple[str, bytes]]


def producer_of(cluster: Cluster, partition: int) -> AIOKafkaProducer:
    """Who starts it fences who had the partition before."""
    return AIOKafkaProducer(
        **cluster.aio(), transactional_id=f"{cluster.folds}-{partition}",
        acks="all", compression_type="zstd", linger_ms=0, max_batch_size=BATCH,
    )  # fmt: skip


async def commit(
    producer: AIOKafkaProducer, cluster: Cluster, partition: int, derived: Derived, reached: Reached, change: Change
) -> int:
    """All of it or nothing; the offset of the topic of rows behind it."""
    point("worker.before_transaction")
    await producer.begin_transaction()
    sent: list[Awaitable[Any]] = []
    last = 0
    try:
        for topic, messages in _messages(derived, reached, change).items():
            for batch in _batches(producer, messages):
                last = batch.record_count()
                sent.append(await producer.send_batch(batch, cluster.topic(topic), partition=partition))
    except (KafkaError, IllegalOperation):  # one sent before has failed, and ended the transaction: it says why
        await asyncio.gather(*sent)
        raise
    # All are awaited: aiokafka commits a transaction in which a send has failed.
    stood = await asyncio.gather(*sent)
    point("worker.inside_transaction")
    await producer.commit_transaction()
    point("worker.after_transaction")
    return int(stood[-1].offset) + last


def _messages(derived: Derived, reached: Reached, change: Change) -> dict[Topic, list[_Message]]:
    """For each topic, that of rows last."""
    messages: dict[Topic, list[_Message]] = defaultdict(list)
    for topic, one in derived:
        headers = [(key, value.encode()) for key, value in one.headers.items()]
        messages[topic].append(_Message(one.key.encode(), one.value, one.time_ms, headers))
    messages[STATE] = [
        _Message(key.encode(), value, None, []) for key, value in changelog.encode_change(reached, change)
    ]
    return messages


def _batches(producer: AIOKafkaProducer, messages: Iterable[_Message]) -> Iterator[BatchBuilder]:
    batch = producer.create_batch()
    for one in messages:
        if batch.append(**one._asdict()) is None:  # it is full
            yield batch
            batch = producer.create_batch()
            batch.append(**one._asdict())
    yield batch
