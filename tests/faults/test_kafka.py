"""The same log on Kafka, folded by workers that die, freeze and share anew: nothing is lost, nothing stands twice."""

import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from ingest.intake.batch import Envelope
from ingest.intake.intake import AcceptedEvent, Intake, open_intake
from ingest.intake.rejection import Rejection
from ledger.log.open import open_log
from ledger.log.topics import EVENTS
from streams.kafka.worker import SESSION_TIMEOUT_S
from tests.faults.conftest import Build
from tests.faults.input import history
from tests.faults.proof import prove
from tests.faults.test_kills import live
from tests.kafka.cluster import Cluster

POINTS = ("worker.before_transaction", "worker.inside_transaction", "worker.after_transaction")
WORKERS = ("streams", "streams-2", "streams-3")
VICTIMS = (*WORKERS, "sink", "import", "warehouse")


@pytest.mark.parametrize("at", [2, pytest.param(5, marks=pytest.mark.long), pytest.param(9, marks=pytest.mark.long)])
@pytest.mark.parametrize("point", [POINTS[1], *(pytest.param(one, marks=pytest.mark.long) for one in POINTS[::2])])
def test_a_worker_dies_at_a_named_point(tmp_path: Path, build: Build, log: str, point: str, at: int) -> None:
    house = build(log, 2, streams=f"{point}:{at}")
    counted = live(house, tmp_path, 1, 4_000)
    assert house.deaths == ["streams"]
    assert prove(house)["events"]["counted"] == counted


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1, 41))
def test_parts_die_at_random_moments(tmp_path: Path, build: Build, log: str, seed: int) -> None:
    """Each death and each return of a worker is a rebalance, some in the middle of a batch."""
    chance = random.Random(seed)
    house = build(log, 3)
    counted = live(house, tmp_path, 2, 20_000, house.killer(chance, VICTIMS, most=6, between_s=(0.1, 5)))
    assert house.deaths, f"seed {seed} killed nobody"
    assert prove(house)["events"]["counted"] == counted


@pytest.mark.long
def test_a_worker_that_was_frozen_past_its_session_changes_nothing_when_it_wakes(
    tmp_path: Path, build: Build, log: str
) -> None:
    """It wakes in the middle of a batch that another one has folded meanwhile."""
    house = build(log, 2)
    slept = house.running["streams"]
    frozen_at = None

    def freeze() -> None:
        nonlocal frozen_at
        if frozen_at is None:
            slept.send_signal(signal.SIGSTOP)
            frozen_at = time.monotonic()
        elif time.monotonic() > frozen_at + 2 * SESSION_TIMEOUT_S:
            slept.send_signal(signal.SIGCONT)

    counted = live(house, tmp_path, 1, 10_000, freeze)
    slept.send_signal(signal.SIGCONT)
    assert slept.poll() is None
    assert prove(house)["events"]["counted"] == counted


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1, 22))
def test_the_broker_dies_and_comes_back(tmp_path: Path, build: Build, own: Cluster, seed: int) -> None:
    chance = random.Random(seed)
    (broker,) = own.brokers
    house = build(f"kafka://{own.bootstrap}", 2)
    deaths = 0
    due = time.monotonic() + chance.uniform(1, 6)

    def kill() -> None:
        nonlocal due, deaths
        if time.monotonic() > due and deaths < 2:
            broker.kill()
            time.sleep(chance.uniform(0, 3))
            broker.start()
            broker.wait_until_ready()
            deaths += 1
            due = time.monotonic() + chance.uniform(3, 10)

    counted = live(house, tmp_path, 1, 10_000, kill)
    assert deaths, f"seed {seed} killed nobody"
    assert prove(house)["events"]["counted"] == counted


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1, 13))
def test_one_broker_of_three_dies(tmp_path: Path, build: Build, three: Cluster, seed: int) -> None:
    """Two of three copies are enough: nobody needs to wait until it comes back."""
    chance = random.Random(seed)
    victim = chance.choice(three.brokers)
    house = build(f"kafka://{three.bootstrap}", 2)
    due = time.monotonic() + chance.uniform(1, 10)
    killed = False

    def kill() -> None:
        nonlocal killed
        if time.monotonic() > due and not killed:
            victim.kill()
            killed = True

    counted = live(house, tmp_path, 1, 10_000, kill)
    assert killed, f"seed {seed} killed nobody"
    assert prove(house)["events"]["counted"] == counted


@pytest.mark.long
def test_two_sinks_and_a_warehouse_that_stands_still(tmp_path: Path, build: Build, log: str) -> None:
    house = build(log)
    other = house.another("warehouse", "sink")
    warehouse = house.running["warehouse"]
    begun = time.monotonic()

    def stand_still() -> None:
        warehouse.send_signal(signal.SIGSTOP if 2 < time.monotonic() - begun < 8 else signal.SIGCONT)

    counted = live(house, tmp_path, 1, 10_000, stand_still)
    warehouse.send_signal(signal.SIGCONT)
    assert other.poll() is None
    assert prove(house)["events"]["counted"] == counted


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1, 9))
def test_producers_that_repeat_and_reorder(tmp_path: Path, build: Build, log: str, seed: int) -> None:
    """Each of three sends all events in an order of its own, and one in four records again, as after a timeout."""
    house = build(log, 2)
    entrance = open_intake(house.settings.home, "acme")
    file, different = history(tmp_path / "calls.ndjson", 1)
    lines = [entered.line for raw in file.read_bytes().split(b"\n") if (entered := _entered(entrance, raw))]

    def produce(number: int) -> None:
        chance = random.Random(seed * 10 + number)
        mine = chance.sample(lines, len(lines))
        with closing(open_log(house.settings)) as theirs:
            for start in range(0, len(mine), 50):
                draft = Envelope("acme", "test", "test").make_draft(b"\n".join(mine[start : start + 50]))
                for _ in range(1 + (chance.random() < 0.25)):
                    theirs.append(EVENTS, [draft])

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(produce, range(3)))
    report = prove(house)
    assert report["events"]["counted"] + report["events"]["quarantined"] == different, f"seed {seed}"


def _entered(entrance: Intake, raw: bytes) -> AcceptedEvent | None:
    try:
        return entrance.accept(raw)
    except Rejection:
        return None
