"""A run of records is one transaction: all that follows, however much; and what its owner is told who was fenced."""

import asyncio
import gc
import uuid
from contextlib import closing
from typing import Any, cast

import pytest
from aiokafka.errors import IllegalOperation, ProducerFenced
from aiokafka.producer.message_accumulator import BatchBuilder
from kafka import KafkaConsumer, TopicPartition

from ledger.log import Record
from ledger.log.kafka.cluster import parse_cluster
from ledger.log.kafka.log import KafkaLog
from ledger.log.kafka.topics import apply_topics
from ledger.log.topics import ALERTS, ENTRIES, STATE
from streams.folds.chain import Derived
from streams.folds.state import Key, Row
from streams.kafka import changelog
from streams.kafka.changelog import StateRecord
from streams.kafka.transaction import MAX_BATCH_BYTES, commit, create_producer
from streams.partition_state import Change, FoldPosition


class Fenced:
    """As aiokafka's producer: the first send fails on the broker, and so ends the transaction for the next."""

    def __init__(self, next_says: type[Exception]) -> None:
        self._next_says = next_says
        self._sends: list[asyncio.Future[Any]] = []

    async def begin_transaction(self) -> None:
        pass

    def create_batch(self) -> BatchBuilder:
        return BatchBuilder(MAX_BATCH_BYTES, 0)

    async def send_batch(self, *_: Any, **__: Any) -> "asyncio.Future[Any]":
        if self._sends:
            raise self._next_says()
        self._sends.append(asyncio.get_running_loop().create_future())
        self._sends[0].set_exception(ProducerFenced())
        return self._sends[0]

    async def commit_transaction(self) -> None:
        raise AssertionError("a part of a batch was committed")


@pytest.mark.parametrize("next_says", [IllegalOperation, ProducerFenced])
def test_a_fence_in_the_middle_of_a_batch_is_no_crash_and_told_once(next_says: type[Exception]) -> None:
    cluster = parse_cluster("kafka://127.0.0.1:1/none")
    said = [(ENTRIES, Record(0, -1, 0, "acme", {}, b"{}"))]  # and behind them the position

    async def committed() -> list[str]:
        unheard: list[str] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context["message"]))
        with pytest.raises(ProducerFenced):
            await commit(cast(Any, Fenced(next_says)), cluster, 0, said, FoldPosition(1, ""), Change(None, {}, {}))
        gc.collect()
        return unheard

    assert asyncio.run(committed()) == []


def test_rows_go_in_batches_and_the_end_lies_behind_the_last(kafka: str) -> None:
    """More than one batch's worth, and one row that is larger than a batch."""
    rows: dict[Key, Row | None] = {("fold", at): Row("x" * 5_000, None) for at in range(300)}
    rows["fold", "large"] = Row("y" * 900_000, None)
    change = Change(None, rows, {})

    with closing(KafkaLog(parse_cluster(f"kafka://{kafka}/{uuid.uuid4()}"))) as log:
        apply_topics(log.cluster)
        ends = committed(log, ([], FoldPosition(1, "a"), change), ([], FoldPosition(2, "b"), Change(None, {}, {})))
        found = consumed(kafka, log.cluster.topic(STATE))
    assert ends == [302, 304], "the positions are records too, and a transaction's end takes an offset"
    read = changelog.read_change(StateRecord(key, value) for key, value in found)
    assert (read.rows, read.position) == (rows, FoldPosition(2, "b"))


def test_what_is_derived_stands_as_it_was_said_however_large(kafka: str) -> None:
    """Messages that fill a batch, one that is as large as six, and another topic's between them."""
    sizes = [400_000, 200_000, 3_000_000, 1]
    said = [(ENTRIES, Record(0, at, 1_000 + at, "acme", {"cause": f"{at}"}, b"e" * n)) for at, n in enumerate(sizes)]
    said.insert(2, (ALERTS, Record(0, 0, 1_001, "acme", {"cause": "1"}, b"a")))

    with closing(KafkaLog(parse_cluster(f"kafka://{kafka}/{uuid.uuid4()}"))) as log:
        apply_topics(log.cluster)
        committed(log, (said, FoldPosition(1, "a"), Change(None, {}, {})))
        for topic in (ENTRIES, ALERTS):
            expected = [one for of, one in said if of is topic]
            found: list[Record] = []
            while len(found) < len(expected):
                found += log.read(topic, 0, len(found))
            assert found == expected


def committed(log: KafkaLog, *batches: tuple[Derived, FoldPosition, Change]) -> list[int]:
    """Each in a transaction of partition 0; where they end."""

    async def ends() -> list[int]:
        producer = create_producer(log.cluster, 0)
        await producer.start()
        try:
            return [await commit(producer, log.cluster, 0, *batch) for batch in batches]
        finally:
            await producer.stop()

    return asyncio.run(ends())


def consumed(bootstrap: str, topic: str) -> list[tuple[str, bytes | None]]:
    with closing(KafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed")) as consumer:
        at = TopicPartition(topic, 0)
        consumer.assign([at])
        consumer.seek_to_beginning(at)
        end = consumer.end_offsets([at])[at]
        found: list[tuple[str, bytes | None]] = []
        while consumer.position(at) < end:
            for one in consumer.poll(1000).get(at, ()):
                found.append((one.key.decode(), one.value))
        return found
