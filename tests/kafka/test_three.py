"""Three nodes: what two of them took is there whoever dies; one alone takes nothing."""

import asyncio

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic

from tests.kafka.cluster import Cluster

TOPIC = "copied"


def wrote(cluster: Cluster, text: str, seconds: int) -> bool:
    """Whether the cluster acknowledged this within that time, to a producer of its own."""

    async def send() -> bool:
        # not kafka-python's: its close() raises while a record is under way, and leaves its thread sending
        producer = AIOKafkaProducer(bootstrap_servers=cluster.bootstrap, acks="all", request_timeout_ms=seconds * 1000)
        try:
            await producer.start()
            await producer.send_and_wait(TOPIC, text.encode())
        except KafkaError:
            return False
        finally:
            await producer.stop()
        return True

    return asyncio.run(send())


def read(cluster: Cluster) -> list[str]:
    partition = TopicPartition(TOPIC, 0)
    with KafkaConsumer(bootstrap_servers=cluster.bootstrap.split(",")) as consumer:
        consumer.assign([partition])
        consumer.seek_to_beginning(partition)
        end = consumer.end_offsets([partition])[partition]
        found: list[str] = []
        while consumer.position(partition) < end:
            found += [record.value.decode() for records in consumer.poll(1000).values() for record in records]
        return found


@pytest.mark.long
def test_a_write_needs_two_of_three(three: Cluster) -> None:
    with KafkaAdminClient(bootstrap_servers=three.bootstrap.split(",")) as admin:
        admin.create_topics([NewTopic(TOPIC, 1, -1)])  # as many copies as the cluster's default says
        assert wrote(three, "all three", 60)
        (described,) = admin.describe_topics([TOPIC])
    leader, replicas = (described["partitions"][0][name] for name in ("leader_id", "replica_nodes"))
    assert sorted(replicas) == [1, 2, 3]
    three.brokers[leader - 1].kill()
    assert wrote(three, "the leader is dead", 60)
    other = next(broker for broker in three.brokers if broker.node.id != leader)
    other.kill()
    assert not wrote(three, "two are dead", 15)
    other.start()
    other.wait_until_ready()
    assert wrote(three, "two again", 60)
    found = read(three)
    assert [text for text in found if text != "two are dead"] == ["all three", "the leader is dead", "two again"]
    assert found.count("two are dead") <= 1  # it was told as unknown, and may have been taken
