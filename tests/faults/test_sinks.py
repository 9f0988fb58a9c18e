"""Two sinks at once, and one that slept through what the other stored: each line stands in the warehouse once."""

import json
import signal
from pathlib import Path

import pytest

from ledger.log.topics import ENTRIES
from tests.faults.conftest import Build
from tests.faults.input import history, trace
from tests.faults.proof import prove

SINK = ("warehouse", "sink")


@pytest.mark.long
def test_two_sinks_at_once(tmp_path: Path, build: Build) -> None:
    house = build()
    other = house.another(*SINK)
    house.bring(trace(tmp_path / "trace.csv", 30_000), "--set", "model=gpt-4o")
    house.settle()
    assert other.poll() is None
    assert prove(house)["events"]["counted"] == 30_000


def test_a_sink_that_was_frozen_adds_nothing_when_it_wakes(tmp_path: Path, build: Build) -> None:
    house = build()
    slept = house.running["sink"]

    def freeze() -> None:
        """In the middle of its work: once it has stored something."""
        told = json.loads((house.settings.home / "consumers" / "sink.json").read_text())
        if told[ENTRIES.name]:
            slept.send_signal(signal.SIGSTOP)

    calls, different = history(tmp_path / "acme.ndjson", 1)
    house.bring(calls, "--organization", "acme", meanwhile=freeze)
    house.another(*SINK)
    house.bring(trace(tmp_path / "trace.csv", 8_000), "--set", "model=gpt-4o")
    house.settle()
    slept.send_signal(signal.SIGCONT)
    house.bring(trace(tmp_path / "trace.csv", 12_000), "--set", "model=gpt-4o")
    house.settle()
    assert slept.poll() is None
    assert prove(house)["events"]["counted"] == different + 12_000
