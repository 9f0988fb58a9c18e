"""One log through the embedded folds, and as a copy through other folds, on Kafka and Faust with 1, 2 and 4 workers or
killed on either log: the same bytes."""

import json
import random
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import chain
from pathlib import Path

import pytest

from ledger.log import PARTITIONS, fold_offset
from ledger.log import copy as copying
from ledger.log.documents import store_document
from ledger.log.kafka import topics as admin
from ledger.log.kafka.log import KafkaLog
from ledger.log.open import open_log
from ledger.log.sqlite.log import EmbeddedLog
from ledger.log.topics import ALERTS, DECISIONS, ENTRIES, EVENTS
from ledger.settings import Settings
from streams.embedded.store import Store
from streams.embedded.worker import Partition
from streams.runtime import read_catalogues
from tests.faults.house import House, Meanwhile
from tests.faults.mixture import DOCUMENTS, Mixture
from tests.faults.proof import Topics, find_difference, prove, read_derived_topics

SEED = 7
FEW, MANY = 5_000, 200_000
EVENTS_MADE = [FEW, pytest.param(MANY, marks=[pytest.mark.long, pytest.mark.timeout(1800)])]
"""The smaller one is folded by two workers alone."""
KINDS = {
    "counted", "duplicate", "duplicate/superseded", "conflict/content_mismatch", "quarantined/malformed",
    "quarantined/token_totals_mismatch", "held/event_time_in_future", "release/held", "release/quarantined",
    "release/conflict", "replacement", "restatement", "reversal/reversal", "reversal/replacement", "reversal/release",
    "reversal/acceptance", "reversal/revision", "reversal/restatement", "record", "control.applied",
    "control.ineffective", "correction.ineffective", "threshold.crossed", "repeated_tool", "a closed month", "covered",
}  # fmt: skip
"""What a mixture must hold, or it proves nothing: outcomes with their reasons, decisions, alerts, entries that are
billed in another month than their own, and such as a commitment covers."""
POINTS = ("worker.before_transaction", "worker.inside_transaction", "worker.after_transaction")
SINK_POINTS = ("sink.before_insert", "sink.after_insert")
LONG = pytest.mark.long
Transport = Callable[[], str | None]


def record_mixture(home: Path, events: int, seed: int = SEED) -> EmbeddedLog:
    log = EmbeddedLog(home)
    for digest, packed in DOCUMENTS.items():
        store_document(log, digest, packed)
    for record in Mixture(seed).records(events):
        log.insert(EVENTS, [record])
    return log


def fold_undisturbed(log: EmbeddedLog, home: Path) -> Topics:
    with closing(Store(home)) as store:
        for number in range(PARTITIONS):
            partition = Partition(number, log, store, read_catalogues(log))
            while partition.step():
                pass
    topics = read_derived_topics(Settings(home=home))
    assert set(list_kinds(topics)) >= KINDS, KINDS - set(list_kinds(topics))
    assert {topic for topic, _ in topics} == {ENTRIES.name, DECISIONS.name, ALERTS.name}
    return topics


def list_kinds(topics: Topics) -> Iterator[str]:
    for (topic, _), records in topics.items():
        for line in map(json.loads, chain.from_iterable(record.value.split(b"\n") for record in records)):
            if topic != ENTRIES.name:
                yield line["decision"] if topic == DECISIONS.name else line["detector"]
                continue
            yield "/".join(filter(None, (line["outcome"], line.get("reason"))))
            if "billing_month" in line:
                yield "a closed month"
            if any(part["billed_cost"] != part["contracted_cost"] for part in line.get("lines", ())):
                yield "covered"


def copy_log(log: EmbeddedLog, settings: Settings) -> dict[str, int]:
    """Copy it to where the settings say, and return the last offset of each partition."""
    with closing(open_log(settings, new=settings.log is None)) as target:
        copied = dict.fromkeys(copying.PLACES, 0)
        if isinstance(target, KafkaLog):
            admin.create_recorded_topics(target.cluster)
            admin.begin_copy(target.cluster)
            copying.copy_records(log, target, copied)
            admin.finish_copy(target)
            admin.apply_topics(target.cluster)
        else:
            assert isinstance(target, EmbeddedLog)
            copying.copy_records(log, target, copied)
    return {str(partition): end - 1 for partition, end in enumerate(log.ends(EVENTS))}


@pytest.fixture
def houses() -> Iterator[list[House]]:
    houses: list[House] = []
    yield houses
    for house in houses:
        house.kill()


@pytest.mark.parametrize("events", EVENTS_MADE)
def test_the_same_log_gives_the_same_bytes(tmp_path: Path, kafka: str, houses: list[House], events: int) -> None:
    log = record_mixture(tmp_path / "embedded", events)
    undisturbed = fold_undisturbed(log, tmp_path / "embedded")
    for workers in (2,) if events < MANY else (1, 2, 4):
        house = House(tmp_path / str(workers), log=f"kafka://{kafka}/{uuid.uuid4()}", workers=workers)
        houses.append(house)
        positions = copy_log(log, house.settings)
        house.start(*house.folds)
        with closing(open_log(house.settings)) as copied:
            house.until(lambda: all(fold_offset(copied, int(one)) > end for one, end in positions.items()))  # noqa: B023
        house.stop(*house.folds)
        assert find_difference(read_derived_topics(house.settings, positions), undisturbed) is None, (
            f"seed {SEED}, {workers} workers"
        )


@pytest.fixture(params=["embedded", "kafka"])
def transport(request: pytest.FixtureRequest) -> Transport:
    """The address of a new log of this kind; None is the embedded one of a home."""

    def choose_address() -> str | None:
        is_kafka = request.param == "kafka"
        return f"kafka://{request.getfixturevalue('kafka')}/{uuid.uuid4()}" if is_kafka else None

    return choose_address


def survive(house: House, log: EmbeddedLog, undisturbed: Topics, meanwhile: Meanwhile = lambda: None) -> None:
    """Fold and store a copy while parts die: what follows has the bytes of the undisturbed fold, and the audit, the
    folds again and the warehouse agree on it, and on what fell due since."""
    positions = copy_log(log, house.settings)
    house.start()
    house.settle(meanwhile)
    assert find_difference(read_derived_topics(house.settings, positions), undisturbed) is None
    events = prove(house)["events"]
    assert events["held"] == 0, "all of it is due by now"
    assert events["accepted"] == sum(events[name] for name in ("counted", "duplicate", "conflict", "quarantined"))


def choose_points(chance: random.Random, points: tuple[str, ...], deaths: int) -> str:
    return " ".join(f"{chance.choice(points)}:{chance.randint(1, 4)}" for _ in range(deaths))


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=LONG) for seed in range(2, 16))])
def test_folds_that_die_at_named_points_give_the_same_bytes(
    tmp_path: Path, transport: Transport, houses: list[House], seed: int
) -> None:
    """With holds, releases, acceptances, restatements, corrections, commitments and closed months under way."""
    chance = random.Random(seed)
    log = record_mixture(tmp_path / "undisturbed", FEW, seed)
    undisturbed = fold_undisturbed(log, tmp_path / "undisturbed")
    address = transport()
    faults = {
        "streams": choose_points(chance, POINTS, 1 if address else 5),
        "sink": choose_points(chance, SINK_POINTS, 1),
    }
    if address:  # who is away for a session finds little left: one death each
        faults["streams-2"] = choose_points(chance, POINTS, 1)
    house = House(tmp_path / "home", faults, address, workers=2 if address else 1)
    houses.append(house)
    survive(house, log, undisturbed)
    assert house.deaths.count("streams") == len(faults["streams"].split()) or address, f"seed {seed}: {house.deaths}"
    assert {"streams", "streams-2"} & set(house.deaths), f"seed {seed} killed nobody"


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(1, 11))
def test_folds_that_die_at_random_moments_give_the_same_bytes(
    tmp_path: Path, transport: Transport, houses: list[House], seed: int
) -> None:
    chance = random.Random(f"moments {seed}")
    log = record_mixture(tmp_path / "undisturbed", 8 * FEW, seed)
    undisturbed = fold_undisturbed(log, tmp_path / "undisturbed")
    address = transport()
    house = House(tmp_path / "home", log=address, workers=3 if address else 1)
    houses.append(house)
    killer = house.killer(chance, (*house.folds, "sink", "warehouse"), most=8, between_s=(0.1, 4))
    survive(house, log, undisturbed, killer)
    assert house.deaths, f"seed {seed} killed nobody"
