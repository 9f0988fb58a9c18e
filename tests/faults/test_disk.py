"""A disk that is full: what stops says so, nothing is damaged, and with more room all goes on."""

from pathlib import Path

import pytest

from tests.faults.conftest import Build, MountDisk
from tests.faults.house import House
from tests.faults.input import trace
from tests.faults.proof import prove
from tests.faults.test_damage import OURS, stopped
from tests.tally.conftest import eventually

pytestmark = pytest.mark.long


def test_on_kafka_a_worker_whose_disk_is_full(tmp_path: Path, build: Build, mount_disk: MountDisk, log: str) -> None:
    """Kafka has committed what the worker cannot keep beside it; the partition stops, and others need not."""
    disk = mount_disk(tmp_path / "home" / "streams", "size=600k")
    house = build(log)
    told: list[str] = []

    def more_room() -> None:
        if not told and (why := stopped(house).get(OURS)):
            told.append(why)
            disk.remount("size=64m")

    counted = house.bring(trace(tmp_path / "trace.csv", 20_000), "--set", "model=gpt-4o", meanwhile=more_room)
    assert "full" in told[0]
    assert prove(house)["events"]["counted"] == counted["counted"] == 20_000


def test_a_home_whose_disk_is_full(tmp_path: Path, build: Build, mount_disk: MountDisk) -> None:
    disk = mount_disk(tmp_path / "home" / "log", "size=3m")
    house = build()
    calls = trace(tmp_path / "trace.csv", 40_000)
    assert house.another("import", str(calls), "--set", "model=gpt-4o").wait(120) == 2
    assert "free some" in house.output_of("another")
    disk.remount("size=200m")
    _again(house)
    house.bring(calls, "--set", "model=gpt-4o")
    assert prove(house)["events"]["counted"] == 40_000


def _again(house: House) -> None:
    """Start the worker again, if its disk stopped it too, or is about to: with a sentence."""
    eventually(lambda: house.running["streams"].poll() is not None or house.folded())
    if house.running["streams"].poll() is not None:
        assert house.running.pop("streams").returncode == 2
        assert "free some" in house.output_of("streams")
        house.start("streams")
