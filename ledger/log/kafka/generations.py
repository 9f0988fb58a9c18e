"""Generations of derived topics on a cluster: create those of a new one, and delete those of others."""

import re
import time

from kafka import KafkaAdminClient
from kafka.errors import CoordinatorLoadInProgressError

from ledger.errors import TallyError
from ledger.log.kafka.cluster import Cluster
from ledger.log.kafka.log import KafkaLog
from ledger.log.kafka.topics import GENERATION_TOPICS, administering, apply_topics

SESSION_TIMEOUT_S, POLL_INTERVAL_S = 15, 0.5
"""Seconds for which a killed worker may appear alive, until its session is over; and the pause between checks."""
COORDINATOR_TIMEOUT_S = 60


def create_generation(log: KafkaLog) -> int:
    """Create the topics of a new generation, and delete those of all others but the log's. Return the new number, which
    no generation has that left topics. TallyError where workers make a generation that is not current yet."""
    current = log.generation
    with administering(log.cluster) as admin:
        generations = _find_topics(admin, log.cluster)
        _check_idle(admin, log.cluster, {number for number in generations.values() if number > current})
        new = max(current, *generations.values()) + 1
        apply_topics(
            log.cluster._replace(generation=new), GENERATION_TOPICS
        )  # before others go, as it has its number by that
        if obsolete := [name for name, number in generations.items() if number != current]:
            admin.delete_topics(obsolete)
    return new


def list_generations(cluster: Cluster) -> set[int]:
    """List the numbers of the generations that have topics."""
    with administering(cluster) as admin:
        return set(_find_topics(admin, cluster).values())


def _find_topics(admin: KafkaAdminClient, cluster: Cluster) -> dict[str, int]:
    """Find the names of derived topics, each with its generation."""
    names = "|".join(re.escape(cluster._replace(generation=1).topic(topic)) for topic in GENERATION_TOPICS)
    pattern = re.compile(rf"(?:{names})(?:\.(\d+))?")
    return {name: int(match[1] or 1) for name in admin.list_topics() if (match := pattern.fullmatch(name))}


def _check_idle(admin: KafkaAdminClient, cluster: Cluster, numbers: set[int]) -> None:
    groups = {cluster._replace(generation=number).folds: number for number in numbers}
    deadline = time.monotonic() + SESSION_TIMEOUT_S
    while busy := _list_busy_groups(admin) & groups.keys():
        if time.monotonic() > deadline:
            raise TallyError(
                f"generation {groups[min(busy)]} of {cluster} is being made: another `tally rebuild` has workers in "
                f"the group {min(busy)}; wait for its end, or end it"
            )
        time.sleep(POLL_INTERVAL_S)


def _list_busy_groups(admin: KafkaAdminClient) -> set[str]:
    """List the consumer groups that have members."""
    return {name for name, state in list_groups(admin).items() if state not in ("Empty", "Dead")}


def list_groups(admin: KafkaAdminClient) -> dict[str, str]:
    """List the consumer groups with their states. A coordinator that still loads its groups is asked again."""
    deadline = time.monotonic() + COORDINATOR_TIMEOUT_S
    while True:
        try:
            return {group["group_id"]: group["group_state"] for group in admin.list_groups()}
        except CoordinatorLoadInProgressError:
            if time.monotonic() > deadline:
                raise
            time.sleep(POLL_INTERVAL_S)
