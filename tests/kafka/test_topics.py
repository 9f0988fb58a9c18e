"""`tally topics apply`: what lacks is made, what differs is told, and nothing is altered."""

import json
import uuid
from contextlib import closing

import pytest
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, NewTopic

from ledger.errors import TallyError
from ledger.log.kafka.cluster import Cluster, parse_cluster
from ledger.log.kafka.log import KafkaLog
from ledger.log.kafka.topics import apply_topics, create_recorded_topics, find_topic_id, finish_copy, specify_topic
from ledger.log.topics import ALERTS, DOCUMENTS, ENTRIES, EVENTS, REJECTED, STATE, TOPICS
from tests.tally.conftest import invoke, tally


@pytest.fixture
def cluster(kafka: str) -> Cluster:
    return parse_cluster(f"kafka://{kafka}/{uuid.uuid4()}")


def test_what_a_topic_is_to_be_follows_from_the_list() -> None:
    cluster = parse_cluster("kafka://one/ours")
    events, rows, rejected = (specify_topic(cluster, topic, 3) for topic in (EVENTS, STATE, REJECTED))
    assert (events.name, events.partitions) == ("ours.events", 16)
    assert events.configs["retention.ms"] == "-1" and events.configs["message.timestamp.type"] == "LogAppendTime"
    assert rejected.configs["retention.ms"] == str(30 * 86_400_000)
    assert rows.configs["cleanup.policy"] == "compact" and "retention.ms" not in rows.configs
    assert specify_topic(cluster, ENTRIES, 3).configs["message.timestamp.type"] == "CreateTime"
    assert specify_topic(cluster, DOCUMENTS, 3).partitions == 1
    replicas = {n: specify_topic(cluster, EVENTS, n).configs["min.insync.replicas"] for n in (1, 2, 3, 9)}
    assert replicas == {1: "1", 2: "1", 3: "2", 9: "2"}


def test_topics_are_made_once(cluster: Cluster) -> None:
    assert {one.topic for one in apply_topics(cluster)} == {cluster.topic(topic) for topic in (*TOPICS, STATE)}
    assert apply_topics(cluster) == []


def test_what_differs_is_told_and_left(cluster: Cluster, kafka: str) -> None:
    name = cluster.topic(ALERTS)
    with KafkaAdminClient(bootstrap_servers=kafka) as admin:
        admin.create_topics([NewTopic(name, 4, 1, topic_configs={"retention.ms": "1000"})])
        resource = ConfigResource(ConfigResourceType.TOPIC, name)
        for _ in range(2):
            told = {(one.topic, one.setting): one.found for one in apply_topics(cluster) if one.found is not None}
            assert told[name, "partitions"] == "4" and told[name, "retention.ms"] == "1000"
            assert {topic for topic, _ in told} == {name}
        kept = admin.describe_configs([resource], config_filter="all")["topic"][name]
    assert kept["retention.ms"]["value"] == "1000"


def test_the_command_tells_both(cluster: Cluster, kafka: str) -> None:
    url = f"kafka://{kafka}/{cluster.name}"
    assert len(json.loads(invoke("topics", "apply", "--json", TALLY_LOG=url).stdout)["made"]) == 7
    with KafkaAdminClient(bootstrap_servers=kafka) as admin:
        resource = ConfigResource(ConfigResourceType.TOPIC, cluster.topic(EVENTS), {"retention.ms": "5"})
        admin.alter_configs([resource])
    done = tally("topics", "apply", TALLY_LOG=url)
    assert done.returncode == 1 and "retention.ms is 5, expected -1" in done.stdout


def test_a_cluster_without_our_topics_says_so(cluster: Cluster) -> None:
    with closing(KafkaLog(cluster)) as log, pytest.raises(TallyError, match=r"has no topic .*`tally topics apply`"):
        log.end(EVENTS, 0)
    with pytest.raises(TallyError, match=rf"{cluster.name}.* has no topic .*`tally topics apply`"):
        find_topic_id(cluster, EVENTS)


def test_a_cluster_that_lets_nobody_alter_topics_is_named(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(KafkaLog(cluster)) as log:
        create_recorded_topics(cluster)
        refused = {"topic": {"any": "TopicAuthorizationFailedError"}}
        monkeypatch.setattr(KafkaAdminClient, "alter_configs", lambda *_: refused)
        with pytest.raises(TallyError, match=r"does not let us alter the topic .*: TopicAuthorizationFailed"):
            finish_copy(log)
