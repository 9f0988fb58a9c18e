"""Several generations of what is derived, on one cluster."""

import json
import uuid
from contextlib import closing

import pytest

from ledger.errors import Superseded
from ledger.log import Draft, generation
from ledger.log.admin import apply, apply_to
from ledger.log.cluster import Cluster, parsed
from ledger.log.generation import Watch, make_current
from ledger.log.kafka import KafkaLog
from ledger.topics import ENTRIES, EVENTS
from tests.tally.conftest import tally


@pytest.fixture
def cluster(kafka: str) -> Cluster:
    return parsed(f"kafka://{kafka}/{uuid.uuid4()}")


def test_a_log_keeps_to_its_generation_and_who_looks_on_follows(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.log.kafka.LOOK_S", 0)
    monkeypatch.setattr(generation, "LOOK_S", 0)
    second = cluster._replace(generation=2)
    apply(cluster)
    apply(second)
    with closing(KafkaLog(cluster)) as log, closing(KafkaLog(cluster, follows=True)) as looking:
        watches = [Watch(one) for one in (log, KafkaLog(cluster, 2))]
        log.append(EVENTS, [Draft(0, "acme", {}, b"for both")])
        log.append(ENTRIES, [Draft(0, "acme", {}, b"of the first")])
        assert [one.generation for one in (log, looking)] == [1, 1]
        for watch in watches:
            watch.check()
        make_current(log, 2)
        assert (log.pinned, looking.pinned) == (cluster, second)
        with closing(KafkaLog(cluster)) as later:
            assert later.ends(EVENTS) == log.ends(EVENTS) and later.pinned == second
        assert (log.end(ENTRIES, 0), looking.end(ENTRIES, 0)) == (1, 0)
        watches[1].check()
        with pytest.raises(Superseded, match=r"generation 1 .* as 2 is current"):
            watches[0].check()


def test_topics_are_those_of_the_current_generation(cluster: Cluster) -> None:
    with closing(KafkaLog(cluster)) as log:
        apply_to(log)
        make_current(log, 2)
    url = f"kafka://{','.join(cluster.servers)}/{cluster.name}"
    made = json.loads(tally("topics", "apply", "--json", TALLY_LOG=url).stdout)["made"]
    assert len(made) == 4 and cluster._replace(generation=2).topic(ENTRIES) in made
