"""Every detector: it stands in the list, and its alerts begin, end and have the facts that readers take."""

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from ledger.log import Record
from ledger.log.topics import ALERTS
from streams.folds import runaways
from streams.folds.runaways.registry import DETECTORS
from streams.replay import replay
from tests.streams.build import DOCUMENTS, adopt, call, record

FACTS = {
    "detector", "severity", "families", "session", "calls", "repeats", "spent", "per_hour", "projected", "since_us",
    "last_us", "evidence",
}  # fmt: skip
SESSIONS = ("s1", "s2", "s3")


def build_log(seed: int) -> list[Record]:
    """Calls of sessions that loop, grow, use no tool, and fall silent at the end."""
    chance = Random(seed)
    records = [record(0, adopt())]
    for offset in range(1, 301):
        tool = {"tool": "grep", "tool_arguments_hash": chance.choice("ab"), "tool_result_hash": "r"}
        line = call(
            f"c{offset}", offset, session=chance.choice(SESSIONS), tokens={"input": offset},
            **(tool if chance.random() < 0.8 else {}),
        )  # fmt: skip
        records.append(record(offset, line, at_s=offset))
    return [*records, record(301, at_s=86_400)]


def list_alerts(records: list[Record]) -> list[dict[str, Any]]:
    derived = (value for topic, value in replay(records, DOCUMENTS) if topic is ALERTS)
    return [json.loads(line) for one in derived for line in one.value.split(b"\n")]


def list_modules() -> set[str]:
    """The modules of detectors, each named as its detector."""
    return {path.stem for path in Path(runaways.__path__[0]).glob("*.py") if "\ndef is_found(" in path.read_text()}


def test_every_detector_stands_in_the_list_under_its_own_name() -> None:
    assert DETECTORS.keys() == list_modules()
    assert all(detector.is_found.__module__.endswith(f".{name}") for name, detector in DETECTORS.items())


@pytest.mark.parametrize("seed", range(5))
def test_alerts_begin_and_end_once_and_have_their_facts(seed: int) -> None:
    alerts = list_alerts(build_log(seed))
    assert alerts, f"seed {seed}"
    steps: dict[str, list[str]] = {}
    for alert in alerts:
        assert alert.keys() >= FACTS and alert["evidence"] and alert["calls"] >= alert["repeats"] > 0, (seed, alert)
        assert alert["session"] in SESSIONS and alert["since_us"] <= alert["last_us"]
        assert alert["alert"].endswith(f"-{alert['detector']}")
        steps.setdefault(alert["alert"], []).append(alert["state"])
    for states in steps.values():
        assert (states[0], states[-1]) == ("raised", "resolved"), f"seed {seed}"
        assert set(states[1:-1]) <= {"escalated"}
    assert {alert["detector"] for alert in alerts} <= list_modules()
