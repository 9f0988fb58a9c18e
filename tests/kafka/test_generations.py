"""Several generations of what is derived, on one cluster."""

import json
import uuid
from contextlib import closing
from pathlib import Path
from unittest.mock import Mock

import pytest
from kafka import KafkaConsumer
from kafka.errors import CoordinatorLoadInProgressError

from ingest.files.outcomes import Range, await_outcomes
from ledger.errors import GenerationSuperseded, TallyError
from ledger.log import Draft, generation
from ledger.log.generation import GenerationWatch, activate
from ledger.log.kafka import generations
from ledger.log.kafka.cluster import Cluster, parse_cluster
from ledger.log.kafka.generations import create_generation, list_generations
from ledger.log.kafka.log import KafkaLog
from ledger.log.kafka.topics import administering, apply_log_topics, apply_topics
from ledger.log.topics import ENTRIES, EVENTS
from tests.faults.house import House
from tests.tally.conftest import eventually, invoke


@pytest.fixture
def cluster(kafka: str) -> Cluster:
    return parse_cluster(f"kafka://{kafka}/{uuid.uuid4()}")


def test_a_log_keeps_to_its_generation_and_who_looks_on_follows(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.log.kafka.log.POLL_INTERVAL_S", 0)
    monkeypatch.setattr(generation, "POLL_INTERVAL_S", 0)
    second = cluster._replace(generation=2)
    apply_topics(cluster)
    apply_topics(second)
    with closing(KafkaLog(cluster)) as log, closing(KafkaLog(cluster)) as looking:
        watches = [GenerationWatch(one) for one in (log, KafkaLog(cluster, 2))]
        log.append(EVENTS, [Draft(0, "acme", {}, b"for both")])
        log.append(ENTRIES, [Draft(0, "acme", {}, b"of the first")])
        assert [one.generation for one in (log, looking)] == [1, 1]
        for watch in watches:
            watch.check()
        activate(log, 2)
        looking.follow()
        assert (log.generation_cluster, looking.generation_cluster) == (cluster, second)
        with closing(KafkaLog(cluster)) as later:
            assert later.ends(EVENTS) == log.ends(EVENTS) and later.generation_cluster == second
        assert (log.end(ENTRIES, 0), looking.end(ENTRIES, 0)) == (1, 0)
        watches[1].check()
        with pytest.raises(GenerationSuperseded, match=r"generation 1 .* as 2 is current"):
            watches[0].check()
        said = Draft(0, "acme", {"cause_offset": "0"}, b'{"outcome": "counted"}')
        KafkaLog(cluster, 2).append(ENTRIES, [said])
        assert await_outcomes(log, [Range(0, 0, 0)]).counted == 1, "who imports waits for the new one's folds"


def test_topics_are_those_of_the_current_generation(cluster: Cluster) -> None:
    with closing(KafkaLog(cluster)) as log:
        apply_log_topics(log)
        activate(log, 2)
    url = f"kafka://{','.join(cluster.servers)}/{cluster.name}"
    made = json.loads(invoke("topics", "apply", "--json", TALLY_LOG=url).stdout)["made"]
    assert len(made) == 4 and cluster._replace(generation=2).topic(ENTRIES) in made


def test_each_new_one_has_a_number_of_its_own_and_takes_the_place_of_those_that_are_over(cluster: Cluster) -> None:
    with closing(KafkaLog(cluster)) as log:
        apply_log_topics(log)
        for number in (2, 3):
            assert create_generation(log) == number
            eventually(lambda: list_generations(cluster) == {1, number})  # noqa: B023  (called at once)
        activate(log, 3)
    with closing(KafkaLog(cluster)) as log:
        assert create_generation(log) == 4
    eventually(lambda: list_generations(cluster) == {3, 4})


def test_one_that_is_being_made_elsewhere_is_left_alone(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generations, "SESSION_TIMEOUT_S", 1)
    with closing(KafkaLog(cluster)) as log:
        apply_log_topics(log)
        second = cluster._replace(generation=create_generation(log))
        with KafkaConsumer(second.topic(EVENTS), **second.client(), group_id=second.folds) as consumer:
            with administering(cluster) as admin:
                while generations.list_groups(admin).get(second.folds) != "Stable":
                    consumer.poll(100)  # joins the group; whether it is given partitions already does not matter
            with pytest.raises(TallyError, match=r"generation 2 of .* is being made: .*; wait for its end"):
                create_generation(log)
        assert create_generation(log) == 3


def test_a_coordinator_that_still_loads_its_groups_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it does after the start of a broker, and when a group's topic moves."""
    monkeypatch.setattr(generations, "POLL_INTERVAL_S", 0)
    admin = Mock()
    admin.list_groups.side_effect = [
        CoordinatorLoadInProgressError("loading"), [{"group_id": "folds", "group_state": "Stable"}],
    ]  # fmt: skip
    assert generations.list_groups(admin) == {"folds": "Stable"}


def test_a_worker_whose_generation_is_over_ends_and_says_so(cluster: Cluster, tmp_path: Path) -> None:
    """It is on another machine than who rebuilds: nothing but the log tells it."""
    house = House(tmp_path / "home", log=f"kafka://{','.join(cluster.servers)}/{cluster.name}")
    house.start("streams")
    with closing(KafkaLog(cluster)) as log:
        activate(log, create_generation(log))
    assert house.running.pop("streams").wait(60) == 1
    assert "generation 1 of what is derived is over, as 2 is current: start again" in house.output_of("streams")
