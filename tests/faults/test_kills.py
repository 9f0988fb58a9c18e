"""kill -9 of every process, at named points and at moments from a seed: nothing is lost, nothing stands twice."""

import json
import random
from pathlib import Path

import pytest

from tests.faults.conftest import Build
from tests.faults.house import House, Meanwhile
from tests.faults.input import history, trace
from tests.faults.proof import prove

POINTS = (
    pytest.param("streams", "worker.before_transaction", marks=pytest.mark.long),
    ("streams", "worker.inside_transaction"),
    pytest.param("streams", "worker.after_transaction", marks=pytest.mark.long),
    pytest.param("sink", "sink.before_insert", marks=pytest.mark.long),
    ("sink", "sink.after_insert"),
    pytest.param("import", "import.after_append", marks=pytest.mark.long),
)
DAYS, LINES = 2, 20_000
VICTIMS = ("warehouse", "streams", "sink", "import")
MORE = [pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 31)]
LATE_PRICES = """
name: ours
currency: USD
providers: [{id: acme-host, models: [{id: acme-preview, prices: [{rates: {input: 1.5, output: 6}}]}]}]
"""


def live(house: House, folder: Path, days: int, lines: int, meanwhile: Meanwhile = lambda: None) -> int:
    """Two organizations, a limit before and one in between, a late price, a file twice; how many calls must count."""
    calls, different = history(folder / "acme.ndjson", days)
    first = ["--scope", "team=engineering", "--limit", "1", "--window", "1h", "--reason", "a test"]
    house.ask("budget", "set", *first, "--organization", "acme")
    house.bring(calls, "--organization", "acme", meanwhile=meanwhile)
    house.ask("budget", "set", *first[:3], "0.5", *first[4:], "--organization", "acme")
    (folder / "ours.yaml").write_text(LATE_PRICES)
    house.ask("price", "adopt", str(folder / "ours.yaml"))
    house.bring(trace(folder / "trace.csv", lines), "--set", "model=acme-preview", meanwhile=meanwhile)
    house.bring(calls, "--organization", "acme", meanwhile=meanwhile)
    house.settle(meanwhile)
    return different + lines


@pytest.mark.parametrize("at", [1, pytest.param(3, marks=pytest.mark.long), pytest.param(9, marks=pytest.mark.long)])
@pytest.mark.parametrize(("part", "point"), POINTS)
def test_a_kill_at_a_named_point(tmp_path: Path, build: Build, part: str, point: str, at: int) -> None:
    house = build(**{part: f"{point}:{at}"})
    counted = live(house, tmp_path, 1, 4_000)
    assert house.deaths == [part]
    assert prove(house)["events"]["counted"] == counted


@pytest.mark.parametrize("seed", [1, *MORE])
def test_kills_at_random_moments(tmp_path: Path, build: Build, seed: int) -> None:
    chance = random.Random(seed)
    house = build()
    counted = live(house, tmp_path, DAYS, LINES, house.killer(chance, VICTIMS, most=8, between_s=(0.05, 3)))
    assert house.deaths, f"seed {seed} killed nobody"
    assert prove(house)["events"]["counted"] == counted


@pytest.mark.parametrize("seed", [1, *MORE])
def test_a_replacement_that_is_killed_is_completed_by_the_next(tmp_path: Path, build: Build, seed: int) -> None:
    """What the source has in force in the end is what the last file gives, and a further run changes nothing."""
    chance = random.Random(f"replacement {seed}")
    house = build()
    rows = [(n, 1_000 + n) for n in range(3_000)]
    house.bring(calls(tmp_path / "wrong.ndjson", rows))
    right = calls(tmp_path / "right.ndjson", [(n, amount + n % 2) for n, amount in rows[500:]] + [(9_999, 7)])
    killer = house.killer(chance, ("streams", "import"), most=4, between_s=(0.05, 2))
    house.bring(right, "--replace", "calls", "--yes", meanwhile=killer)
    again = house.bring(right, "--replace", "calls", "--yes")
    assert again["replacement"] == {"kept": 2_501, "replaced": 0, "reversed": 0, "added": 0, "repeated": 0}
    tokens = sum(amount + n % 2 for n, amount in rows[500:]) + 7
    assert prove(house)["tokens"]["input"] == dict.fromkeys(("log", "topic", "warehouse"), tokens)


def calls(path: Path, rows: list[tuple[int, int]]) -> Path:
    """A file of complete events with so many input tokens each."""
    event = {"source": "calls", "type": "tallystick.inference.v1", "time": "2026-01-05T12:00:00Z"}
    lines = ({"id": str(n), **event, "data": {"model": "m", "tokens": {"input": amount}}} for n, amount in rows)
    path.write_text("\n".join(map(json.dumps, lines)))
    return path
