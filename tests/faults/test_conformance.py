"""One log through the embedded folds, and as a copy through Kafka and Faust with 1, 2 and 4 workers: the same bytes."""

import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.log import PARTITIONS, fold_offset
from ledger.log import copy as copying
from ledger.log.documents import store_document
from ledger.log.kafka import topics as admin
from ledger.log.kafka.log import KafkaLog
from ledger.log.open import open_log
from ledger.log.sqlite.log import EmbeddedLog
from ledger.log.topics import EVENTS
from ledger.settings import Settings
from streams.embedded.store import Store
from streams.embedded.worker import Partition
from streams.runtime import read_catalogues
from tests.faults.house import House
from tests.faults.mixture import DOCUMENTS, Mixture
from tests.faults.proof import find_difference, outcomes, read_derived_topics

SEED = 7
EVENTS_MADE = [5_000, pytest.param(200_000, marks=[pytest.mark.long, pytest.mark.timeout(1800)])]
"""The smaller one is folded by two workers alone."""


def embedded(home: Path, events: int) -> EmbeddedLog:
    """The mixture, recorded and folded."""
    log = EmbeddedLog(home)
    for digest, packed in DOCUMENTS.items():
        store_document(log, digest, packed)
    for record in Mixture(SEED).records(events):
        log.insert(EVENTS, [record])
    folds = Store(home)
    for number in range(PARTITIONS):
        partition = Partition(number, log, folds, read_catalogues(log))
        while partition.step():
            pass
    return log


def copied(log: EmbeddedLog, settings: Settings) -> dict[str, int]:
    """Copy it to where the settings say; the last offset of each partition."""
    with_topics = open_log(settings)
    assert isinstance(with_topics, KafkaLog)
    admin.create_recorded_topics(with_topics.cluster)
    admin.begin_copy(with_topics.cluster)
    held = dict.fromkeys(copying.PLACES, 0)
    copying.copy_records(log, with_topics, held)
    admin.finish_copy(with_topics)
    admin.apply_topics(with_topics.cluster)
    with_topics.close()
    return {str(partition): end - 1 for partition, end in enumerate(log.ends(EVENTS))}


@pytest.fixture
def houses() -> Iterator[list[House]]:
    made: list[House] = []
    yield made
    for house in made:
        house.kill()


@pytest.mark.parametrize("events", EVENTS_MADE)
def test_the_same_log_gives_the_same_bytes(tmp_path: Path, kafka: str, houses: list[House], events: int) -> None:
    log = embedded(tmp_path / "embedded", events)
    told = read_derived_topics(Settings(home=tmp_path / "embedded"))
    words = Counter(outcomes(told))
    assert {"counted", "duplicate", "conflict", "quarantined", "held", "release", "record"} <= words.keys(), words
    assert {topic for topic, _ in told} == {"tally.entries", "tally.decisions", "tally.alerts"}
    for workers in (2,) if events < 100_000 else (1, 2, 4):
        house = House(tmp_path / str(workers), log=f"kafka://{kafka}/{uuid.uuid4()}", workers=workers)
        houses.append(house)
        positions = copied(log, house.settings)
        house.start(*house.folds)
        theirs = open_log(house.settings)
        house.until(lambda: all(fold_offset(theirs, int(one)) > end for one, end in positions.items()))  # noqa: B023
        house.stop(*house.folds)
        assert find_difference(read_derived_topics(house.settings, positions), told) is None, (
            f"seed {SEED}, {workers} workers"
        )
