"""The topics on a cluster, made and checked against the typed list. Nothing is deleted here; altered is only what a
copy of a log is taken into, while it is.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic
from kafka.errors import KafkaError, TopicAlreadyExistsError

from ledger.errors import LogUnavailable, TallyError
from ledger.log.kafka.cluster import Cluster
from ledger.log.kafka.log import KafkaLog
from ledger.log.topics import DERIVED, STATE, TOPICS, Topic

RECORDED_TOPICS = tuple(topic for topic in TOPICS if topic.origin == "recorded")
GENERATION_TOPICS = (*DERIVED, STATE)
DAY_MS = 86_400_000
MAX_REPLICAS = 3
"""Where the cluster has so many brokers; of them all but one must have a record before it is acknowledged."""
COPY_CONFIGS = {
    "message.timestamp.type": "CreateTime",
    "message.timestamp.after.max.ms": str((1 << 63) - 1),
    "message.timestamp.before.max.ms": str((1 << 63) - 1),
    "retention.ms": "-1",
}
"""Of a recorded topic while it takes a copy: records keep their times, also those of a clock that was
ahead of the broker's, and none is too old."""
ALTER_TIMEOUT_S, ALTER_DELAY_S = 30, 0.5
"""How long a cluster may take to tell a setting it was given; the brokers obey it shortly after that."""
MAX_DERIVED_RECORD_BYTES = 16 << 20
"""One record can cause more than a mebibyte: what falls due for all scopes at once."""


class TopicSpec(NamedTuple):
    """How a topic is to be: its name on the cluster, and its settings in Kafka's words."""

    name: str
    partitions: int
    configs: dict[str, str]


class Difference(NamedTuple):
    """What of a topic is not as it should be; ``found`` is None where the topic was missing, and was made."""

    topic: str
    setting: str
    wanted: str
    found: str | None


def specify_topic(cluster: Cluster, topic: Topic, brokers: int) -> TopicSpec:
    """The settings of a topic of ours on so many brokers (pure).

    A recorded topic takes the broker's time, so that a record's time is the log's; a derived one keeps the time of
    the record that caused it.
    """
    configs = {
        "cleanup.policy": "compact" if topic.compacted else "delete",
        "message.timestamp.type": "LogAppendTime" if topic.origin == "recorded" else "CreateTime",
        "min.insync.replicas": "2" if brokers >= MAX_REPLICAS else "1",
        "unclean.leader.election.enable": "false",
        "retention.bytes": "-1",
    }
    if topic.compacted:
        # The active segment is never cleaned, and whoever reloads the rows reads it whole.
        configs |= {"segment.ms": str(DAY_MS // 24), "min.cleanable.dirty.ratio": "0.3"}
    else:
        configs["retention.ms"] = str(-1 if topic.days is None else topic.days * DAY_MS)
    if topic.origin == "derived":
        configs["max.message.bytes"] = str(MAX_DERIVED_RECORD_BYTES)
    return TopicSpec(cluster.topic(topic), topic.partitions, configs)


def apply_log_topics(log: KafkaLog) -> list[Difference]:
    """Make the topics that a log lacks, and say what differs of the others. The recorded ones come first, as they say
    which generation is current. LogUnavailable where the cluster does not answer."""
    with administering(log.cluster) as admin:
        return [*_apply_topics(admin, log.cluster, RECORDED_TOPICS), *_apply_topics(admin, log.generation_cluster, GENERATION_TOPICS)]


def apply_topics(cluster: Cluster, topics: Iterable[Topic] = (*RECORDED_TOPICS, *GENERATION_TOPICS)) -> list[Difference]:
    """The same for some topics."""
    with administering(cluster) as admin:
        return _apply_topics(admin, cluster, topics)


def create_recorded_topics(cluster: Cluster) -> None:
    """Make the recorded topics that lack, ready to take a copy."""
    with administering(cluster) as admin:
        brokers = len(admin.describe_cluster()["brokers"])
        existing = set(admin.list_topics())
        for spec in _specify_recorded(cluster, brokers):
            if spec.name not in existing:
                _create_topic(admin, spec._replace(configs=spec.configs | COPY_CONFIGS), min(brokers, MAX_REPLICAS))


def begin_copy(cluster: Cluster) -> None:
    """Have the recorded topics take records with the times they have."""
    with administering(cluster) as admin:
        _alter(admin, {spec.name: COPY_CONFIGS for spec in _specify_recorded(cluster, 1)})


def finish_copy(log: KafkaLog) -> None:
    """Have the recorded topics as they should be after a copy, and all others beside them."""
    with administering(log.cluster) as admin:
        brokers = len(admin.describe_cluster()["brokers"])
        configs = {
            spec.name: {setting: spec.configs.get(setting) for setting in COPY_CONFIGS}
            for spec in _specify_recorded(log.cluster, brokers)
        }
        _alter(admin, configs)
    apply_log_topics(log)


def find_topic_id(cluster: Cluster, topic: Topic) -> str:
    """What tells a topic from another one that had its name before. TallyError where there is none."""
    name = cluster.topic(topic)
    with administering(cluster) as admin:
        (description,) = admin.describe_topics([name])
    if description["error_code"]:
        raise TallyError(f"{cluster} has no topic {name}: `tally topics apply` makes what lacks")
    return str(description["topic_id"])


def _apply_topics(admin: KafkaAdminClient, cluster: Cluster, topics: Iterable[Topic]) -> list[Difference]:
    brokers = len(admin.describe_cluster()["brokers"])
    existing = set(admin.list_topics())
    specs = [specify_topic(cluster, topic, brokers) for topic in topics]
    created = [spec for spec in specs if spec.name not in existing and _create_topic(admin, spec, min(brokers, MAX_REPLICAS))]
    return [
        *(Difference(spec.name, "topic", f"{spec.partitions} partitions", None) for spec in created),
        *_find_differences(admin, specs),
    ]


def _create_topic(admin: KafkaAdminClient, spec: TopicSpec, replicas: int) -> bool:
    new = NewTopic(spec.name, num_partitions=spec.partitions, replication_factor=replicas, topic_configs=spec.configs)
    try:
        admin.create_topics([new])
    except TopicAlreadyExistsError:  # another one was faster
        return False
    admin.wait_for_topics([spec.name])
    return True


def _specify_recorded(cluster: Cluster, brokers: int) -> list[TopicSpec]:
    return [specify_topic(cluster, topic, brokers) for topic in RECORDED_TOPICS]


def _alter(admin: KafkaAdminClient, changes: Mapping[str, Mapping[str, str | None]]) -> None:
    """Give topics settings (None is the cluster's own default), and wait until they hold."""

    def find_missing() -> dict[str, dict[str, str | None]]:
        resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in changes]
        configs = admin.describe_configs(resources, config_filter="all")["topic"]
        missing = {
            name: {
                setting: value
                for setting, value in settings.items()
                if (configs[name][setting]["value"] != value if value else _is_topic_setting(configs[name][setting]))
            }
            for name, settings in changes.items()
        }
        return {name: settings for name, settings in missing.items() if settings}

    missing = find_missing()
    if not missing:
        return
    for name, settings in missing.items():
        operations = {setting: ("SET", value) if value else ("DELETE", None) for setting, value in settings.items()}
        (answer,) = admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, operations)])["topic"].values()
        if answer != "OK":
            raise TallyError(f"the cluster does not let us alter the topic {name} ({', '.join(settings)}): {answer}")
    deadline = time.monotonic() + ALTER_TIMEOUT_S
    while find_missing():
        if time.monotonic() > deadline:
            raise LogUnavailable(f"the cluster did not alter {', '.join(missing)} within {ALTER_TIMEOUT_S} s: try again")
        time.sleep(ALTER_DELAY_S / 10)
    time.sleep(ALTER_DELAY_S)


def _is_topic_setting(setting: Mapping[str, Any]) -> bool:
    """Whether a topic has the setting itself, and not from its cluster."""
    return bool(setting["config_source"] == "DYNAMIC_TOPIC_CONFIG")


def _find_differences(admin: KafkaAdminClient, specs: list[TopicSpec]) -> Iterator[Difference]:
    names = [spec.name for spec in specs]
    partitions = {description["name"]: len(description["partitions"]) for description in admin.describe_topics(names)}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    configs = admin.describe_configs(resources, config_filter="all")["topic"]
    for spec in specs:
        if partitions[spec.name] != spec.partitions:
            yield Difference(spec.name, "partitions", str(spec.partitions), str(partitions[spec.name]))
        for setting, value in spec.configs.items():
            actual = configs[spec.name][setting]["value"]
            if actual != value:
                yield Difference(spec.name, setting, value, actual)


@contextmanager
def administering(cluster: Cluster) -> Iterator[KafkaAdminClient]:
    """A client for who changes a cluster. LogUnavailable where that does not answer."""
    try:
        admin = KafkaAdminClient(**cluster.client())
        try:
            yield admin
        finally:
            admin.close()
    except KafkaError as error:
        raise LogUnavailable(f"the cluster at {cluster} does not answer: {error}") from error
