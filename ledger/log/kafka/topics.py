"""Topics on a cluster, created and checked against the typed list. Nothing is deleted here; only topics that receive a
copy are altered, for as long."""

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
"""Replicas where the cluster has as many brokers. All but one must have a record before it is acknowledged."""
COPY_CONFIGS = {
    "message.timestamp.type": "CreateTime",
    "message.timestamp.after.max.ms": str((1 << 63) - 1),
    "message.timestamp.before.max.ms": str((1 << 63) - 1),
    "retention.ms": "-1",
}
"""Settings of a recorded topic while it receives a copy: records keep their times, also those ahead of the broker's
clock, and none is too old."""
ALTER_TIMEOUT_S, ALTER_DELAY_S = 30, 0.5
"""Seconds until a cluster must report a setting it was given; and until its brokers obey it after that."""
MAX_DERIVED_RECORD_BYTES = 16 << 20
"""One record can cause more than a mebibyte: everything that falls due for all scopes at once."""


class TopicSpec(NamedTuple):
    """The specification of a topic: its name on the cluster, its partitions, and its settings in Kafka's terms."""

    name: str
    partitions: int
    configs: dict[str, str]


class Difference(NamedTuple):
    """A setting of a topic that differs from its specification. ``found`` is None where the topic was missing, and was
    created."""

    topic: str
    setting: str
    wanted: str
    found: str | None


def specify_topic(cluster: Cluster, topic: Topic, brokers: int) -> TopicSpec:
    """Return the specification of a topic for a number of brokers (pure).

    A recorded topic takes the broker's time, so that a record's time is the log's; a derived one keeps the time of the
    record that caused it."""
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
    """Create the missing topics of a log, and return the settings that differ. Recorded topics come first, as they name
    the current generation. LogUnavailable where the cluster does not answer."""
    with administering(log.cluster) as admin:
        return [
            *_apply_topics(admin, log.cluster, RECORDED_TOPICS),
            *_apply_topics(admin, log.generation_cluster, GENERATION_TOPICS),
        ]


def apply_topics(
    cluster: Cluster, topics: Iterable[Topic] = (*RECORDED_TOPICS, *GENERATION_TOPICS)
) -> list[Difference]:
    """Create the missing ones of these topics, and return the settings that differ."""
    with administering(cluster) as admin:
        return _apply_topics(admin, cluster, topics)


def create_recorded_topics(cluster: Cluster) -> None:
    """Create the missing recorded topics, ready to receive a copy."""
    with administering(cluster) as admin:
        brokers = len(admin.describe_cluster()["brokers"])
        existing = set(admin.list_topics())
        for spec in _specify_recorded(cluster, brokers):
            if spec.name not in existing:
                _create_topic(admin, spec._replace(configs=spec.configs | COPY_CONFIGS), min(brokers, MAX_REPLICAS))


def begin_copy(cluster: Cluster) -> None:
    """Have the recorded topics keep the times of the records that they receive."""
    with administering(cluster) as admin:
        _alter(admin, {spec.name: COPY_CONFIGS for spec in _specify_recorded(cluster, 1)})


def finish_copy(log: KafkaLog) -> None:
    """Restore the settings of the recorded topics after a copy, and create all other topics."""
    with administering(log.cluster) as admin:
        brokers = len(admin.describe_cluster()["brokers"])
        configs = {
            spec.name: {setting: spec.configs.get(setting) for setting in COPY_CONFIGS}
            for spec in _specify_recorded(log.cluster, brokers)
        }
        _alter(admin, configs)
    apply_log_topics(log)


def find_topic_id(cluster: Cluster, topic: Topic) -> str:
    """Find the id that distinguishes a topic from an earlier one of its name. TallyError where there is none."""
    name = cluster.topic(topic)
    with administering(cluster) as admin:
        (description,) = admin.describe_topics([name])
    if description["error_code"]:
        raise TallyError(f"{cluster} has no topic {name}: `tally topics apply` creates missing topics")
    return str(description["topic_id"])


def _apply_topics(admin: KafkaAdminClient, cluster: Cluster, topics: Iterable[Topic]) -> list[Difference]:
    brokers = len(admin.describe_cluster()["brokers"])
    existing = set(admin.list_topics())
    specs = [specify_topic(cluster, topic, brokers) for topic in topics]
    created = [
        spec for spec in specs if spec.name not in existing and _create_topic(admin, spec, min(brokers, MAX_REPLICAS))
    ]
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
    """Give topics settings (None is the cluster's default), and wait until they hold."""

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
            raise LogUnavailable(
                f"the cluster did not alter {', '.join(missing)} within {ALTER_TIMEOUT_S} s: try again"
            )
        time.sleep(ALTER_DELAY_S / 10)
    time.sleep(ALTER_DELAY_S)


def _is_topic_setting(setting: Mapping[str, Any]) -> bool:
    """Tell whether a setting is the topic's own, and not its cluster's."""
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
    """Open an administration client. LogUnavailable where the cluster does not answer."""
    try:
        admin = KafkaAdminClient(**cluster.client())
        try:
            yield admin
        finally:
            admin.close()
    except KafkaError as error:
        raise LogUnavailable(f"the cluster at {cluster} does not answer: {error}") from error
