"""A log that was restored from an older copy, and a disk that takes nothing: both are noticed, told, and mended."""

import json
import shutil
import urllib.request
import uuid
from pathlib import Path
from typing import Any

import pytest

from ledger.home.presence import list_presences
from ledger.log import PARTITIONS, fold_offset, partition_of
from ledger.log.open import open_log
from ledger.log.topics import EVENTS
from streams.folds.version import VERSION
from tests.faults.conftest import Build
from tests.faults.house import House
from tests.faults.input import trace
from tests.faults.proof import prove
from tests.kafka.cluster import Cluster

OURS = partition_of("default")


def stopped(house: House) -> dict[int, str]:
    """Partitions that stand still, and why, as the workers' pages tell it."""
    told: dict[int, str] = {}
    for worker in list_presences(house.settings, "streams"):
        with urllib.request.urlopen(worker["url"], timeout=10) as answer:
            partitions: dict[str, Any] = json.loads(answer.read())["partitions"]
        told |= {int(one): said["stopped"] for one, said in partitions.items() if said["stopped"]}
    return told


@pytest.mark.long
def test_a_partition_that_cannot_go_on_says_why_and_holds_up_no_other(tmp_path: Path, build: Build, kafka: str) -> None:
    """Its cache cannot be opened, as on a disk that fails; once it can, it goes on."""
    name = str(uuid.uuid4())
    blocked = tmp_path / "home" / "streams" / name / f"{OURS}.{VERSION}.db"
    blocked.mkdir(parents=True)
    house = build(f"kafka://{kafka}/{name}")
    log = open_log(house.settings)
    house.ask("price", "adopt", str(_book(tmp_path)))  # a record in every partition
    house.until(
        lambda: sum(fold_offset(log, one) == log.end(EVENTS, one) for one in range(PARTITIONS)) == PARTITIONS - 1
    )
    house.until(lambda: list(stopped(house)) == [OURS])
    assert str(blocked) in stopped(house)[OURS]
    blocked.rmdir()
    house.bring(trace(tmp_path / "trace.csv", 2_000), "--set", "model=gpt-4o")
    assert stopped(house) == {}
    assert prove(house)["events"]["counted"] == 2_000


@pytest.mark.long
def test_a_log_that_was_restored_from_an_older_copy_is_noticed(tmp_path: Path, build: Build, own: Cluster) -> None:
    """By the folds, whose memory is ahead of it, and by the sink, whose warehouse is."""
    (broker,) = own.brokers
    data = tmp_path / "own" / "1"
    house = build(f"kafka://{own.bootstrap}")
    house.bring(trace(tmp_path / "trace.csv", 2_000), "--set", "model=gpt-4o")
    house.settle()
    house.stop("sink", "streams")
    broker.stop()
    shutil.copytree(data, tmp_path / "older")
    _again(broker)
    house.start("streams", "sink")
    house.bring(trace(tmp_path / "trace.csv", 4_000), "--set", "model=gpt-4o")
    house.settle()
    house.stop("sink", "streams")
    broker.stop()
    shutil.rmtree(data)
    (tmp_path / "older").rename(data)
    _again(broker)
    house.start("streams")
    house.until(lambda: OURS in stopped(house))
    assert "restore" in stopped(house)[OURS]
    verified = house.another("verify", "--json")
    assert verified.wait(120) == 2
    assert "was filled from another log" in house.output_of("another")


def _again(broker: Any) -> None:
    broker.start()
    broker.wait_until_ready()


def _book(folder: Path) -> Path:
    path = folder / "book.yaml"
    models = "models: [{id: acme-preview, prices: [{rates: {input: 1.5, output: 6}}]}]"
    path.write_text(f"name: ours\ncurrency: USD\nproviders: [{{id: acme-host, {models}}}]\n")
    return path
