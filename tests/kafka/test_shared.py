"""The broker that tests share."""

import uuid

import pytest
from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient, NewTopic


@pytest.mark.parametrize("codec", ["gzip", "lz4", "zstd"])
def test_it_repacks_records_of_every_compression(kafka: str, codec: str) -> None:
    """The broker's native libraries are those that its folder unpacks."""
    topic = f"repacked-{uuid.uuid4()}"
    with KafkaAdminClient(bootstrap_servers=kafka) as admin:
        admin.create_topics([NewTopic(topic, 1, 1, topic_configs={"compression.type": codec})])
    with KafkaProducer(bootstrap_servers=kafka) as producer:
        producer.send(topic, b"value" * 1000).get(30)
    with KafkaConsumer(topic, bootstrap_servers=kafka, auto_offset_reset="earliest") as consumer:
        assert next(consumer).value == b"value" * 1000
