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

RECORDED = tuple(topic for topic in TOPICS if topic.origin == "recorded")
OF_A_GENERATION = (*DERIVED, STATE)
DAY_MS = 86_400_000
REPLICAS = 3
"""Where the cluster has so many brokers; of them all but one must have a record before it is acknowledged."""
TAKING = {
    "message.timestamp.type": "CreateTime",
    "message.timestamp.after.max.ms": str((1 << 63) - 1),
    "message.timestamp.before.max.ms": str((1 << 63) - 1),
    "retention.ms": "-1",
}
"""Of a recorded topic while it takes a copy: records keep their times, also those of a clock that was
ahead of the broker's, and none is too old."""
ALTERED_S, PAUSE_S = 30, 0.5
"""How long a cluster may take to tell a setting it was given; the brokers obey it shortly after that."""
MAX_DERIVED = 16 << 20
"""One record can cause more than a mebibyte: what falls due for all scopes at once."""


class Wanted(NamedTuple):
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


def wanted(cluster: Cluster, topic: Topic, brokers: int) -> Wanted:
    """The settings of a topic of ours on so many brokers (pure).

    A recorded topic takes the broker's time, so that a record's time is the log's; a derived one keeps the time of
    the record that caused it.
    """
    configs = {
        "cleanup.policy": "compact" if topic.compacted else "delete",
        "message.timestamp.type": "LogAppendTime" if topic.origin == "recorded" else "CreateTime",
        "min.insync.replicas": "2" if brokers >= REPLICAS else "1",
        "unclean.leader.election.enable": "false",
        "retention.bytes": "-1",
    }
    if topic.compacted:
        # The active segment is never cleaned, and whoever reloads the rows reads it whole.
        configs |= {"segment.ms": str(DAY_MS // 24), "min.cleanable.dirty.ratio": "0.3"}
    else:
        configs["retention.ms"] = str(-1 if topic.days is None else topic.days * DAY_MS)
    if topic.origin == "derived":
        configs["max.message.bytes"] = str(MAX_DERIVED)
    return Wanted(cluster.topic(topic), topic.partitions, configs)


def apply_to(log: KafkaLog) -> list[Difference]:
    """Make the topics that a log lacks, and say what differs of the others. The recorded ones come first, as they say
    which generation is current. LogUnavailable where the cluster does not answer."""
    with administering(log.cluster) as admin:
        return [*_applied(admin, log.cluster, RECORDED), *_applied(admin, log.pinned, OF_A_GENERATION)]


def apply(cluster: Cluster, topics: Iterable[Topic] = (*RECORDED, *OF_A_GENERATION)) -> list[Difference]:
    """The same for some topics."""
    with administering(cluster) as admin:
        return _applied(admin, cluster, topics)


def make_recorded(cluster: Cluster) -> None:
    """Make the recorded topics that lack, ready to take a copy."""
    with administering(cluster) as admin:
        brokers = len(admin.describe_cluster()["brokers"])
        there = set(admin.list_topics())
        for wish in _recorded(cluster, brokers):
            if wish.name not in there:
                _create(admin, wish._replace(configs=wish.configs | TAKING), min(brokers, REPLICAS))


def take(cluster: Cluster) -> None:
    """Have the recorded topics take records with the times they have."""
    with administering(cluster) as admin:
        _alter(admin, {wish.name: TAKING for wish in _recorded(cluster, 1)})


def settle(log: KafkaLog) -> None:
    """Have the recorded topics as they should be after a copy, and all others beside them."""
    with administering(log.cluster) as admin:
        brokers = len(admin.describe_cluster()["brokers"])
        ours = {
            wish.name: {setting: wish.configs.get(setting) for setting in TAKING}
            for wish in _recorded(log.cluster, brokers)
        }
        _alter(admin, ours)
    apply_to(log)


def topic_id(cluster: Cluster, topic: Topic) -> str:
    """What tells a topic from another one that had its name before. TallyError where there is none."""
    name = cluster.topic(topic)
    with administering(cluster) as admin:
        (found,) = admin.describe_topics([name])
    if found["error_code"]:
        raise TallyError(f"{cluster} has no topic {name}: `tally topics apply` makes what lacks")
    return str(found["topic_id"])


def _applied(admin: KafkaAdminClient, cluster: Cluster, topics: Iterable[Topic]) -> list[Difference]:
    brokers = len(admin.describe_cluster()["brokers"])
    there = set(admin.list_topics())
    wishes = [wanted(cluster, topic, brokers) for topic in topics]
    made = [one for one in wishes if one.name not in there and _create(admin, one, min(brokers, REPLICAS))]
    return [
        *(Difference(one.name, "topic", f"{one.partitions} partitions", None) for one in made),
        *_differences(admin, wishes),
    ]


def _create(admin: KafkaAdminClient, wish: Wanted, replicas: int) -> bool:
    new = NewTopic(wish.name, num_partitions=wish.partitions, replication_factor=replicas, topic_configs=wish.configs)
    try:
        admin.create_topics([new])
    except TopicAlreadyExistsError:  # another one was faster
        return False
    admin.wait_for_topics([wish.name])
    return True


def _recorded(cluster: Cluster, brokers: int) -> list[Wanted]:
    return [wanted(cluster, topic, brokers) for topic in RECORDED]


def _alter(admin: KafkaAdminClient, wishes: Mapping[str, Mapping[str, str | None]]) -> None:
    """Give topics settings (None is the cluster's own default), and wait until they hold."""

    def lacking() -> dict[str, dict[str, str | None]]:
        asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in wishes]
        found = admin.describe_configs(asked, config_filter="all")["topic"]
        missing = {
            name: {
                setting: value
                for setting, value in wish.items()
                if (found[name][setting]["value"] != value if value else _is_own(found[name][setting]))
            }
            for name, wish in wishes.items()
        }
        return {name: settings for name, settings in missing.items() if settings}

    altered = lacking()
    if not altered:
        return
    for name, settings in altered.items():
        said = {setting: ("SET", value) if value else ("DELETE", None) for setting, value in settings.items()}
        (answer,) = admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, said)])["topic"].values()
        if answer != "OK":
            raise TallyError(f"the cluster does not let us alter the topic {name} ({', '.join(settings)}): {answer}")
    deadline = time.monotonic() + ALTERED_S
    while lacking():
        if time.monotonic() > deadline:
            raise LogUnavailable(f"the cluster did not alter {', '.join(altered)} within {ALTERED_S} s: try again")
        time.sleep(PAUSE_S / 10)
    time.sleep(PAUSE_S)


def _is_own(setting: Mapping[str, Any]) -> bool:
    """Whether a topic has the setting itself, and not from its cluster."""
    return bool(setting["config_source"] == "DYNAMIC_TOPIC_CONFIG")


def _differences(admin: KafkaAdminClient, wishes: list[Wanted]) -> Iterator[Difference]:
    names = [wish.name for wish in wishes]
    partitions = {one["name"]: len(one["partitions"]) for one in admin.describe_topics(names)}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    configs = admin.describe_configs(resources, config_filter="all")["topic"]
    for wish in wishes:
        if partitions[wish.name] != wish.partitions:
            yield Difference(wish.name, "partitions", str(wish.partitions), str(partitions[wish.name]))
        for setting, value in wish.configs.items():
            found = configs[wish.name][setting]["value"]
            if found != value:
                yield Difference(wish.name, setting, value, found)


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
