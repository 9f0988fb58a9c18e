"""The metrics as Prometheus scrapes them, of real parts, held against what `tally status` and `tally verify` say."""

import json
import os
import subprocess
import threading
import time
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ledger.errors import TallyError
from ledger.log.open import open_log
from ledger.metrics import METRICS
from ledger.settings import Settings
from tally.processes.join import needing
from tally.processes.service import METRICS as PART
from tally.processes.service import STREAMS, Child, storing
from tally.status.metrics import Source
from tests.tally.conftest import COMMAND, ROOT, eventually, home_environment, tally

Figures = dict[tuple[str, ...], float]
CALLS = 50


@pytest.fixture(autouse=True)
def path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'sdk'}{os.pathsep}{ROOT}")


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "small.csv"
    lines = ["TIMESTAMP,ContextTokens,GeneratedTokens"]
    lines += [f"2024-11-16 18:00:{n:02}.9799600,{1000 + n},{n}" for n in range(CALLS)]
    path.write_text("\n".join([*lines, "no event"]))
    return path


def scraped(url: str) -> Figures:
    """Every sample by its name and the values of its labels in the order of their names."""
    with urllib.request.urlopen(url, timeout=30) as page:
        text = page.read().decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert set(families) == {metric.name.removesuffix("_total") for metric in METRICS}
    samples = [sample for family in families.values() for sample in family.samples]
    return {(one.name, *(one.labels[name] for name in sorted(one.labels))): one.value for one in samples}


def whole(url: str) -> Figures:
    """A scrape in which every source answered: one that needs long is absent from a scrape."""
    found: list[Figures] = []

    def answers() -> bool:
        found.append(scraped(url))
        return found[-1]["tally_log_up",] == found[-1]["tally_warehouse_up",] == 1

    eventually(answers)
    return found[-1]


def names(figures: Figures) -> set[str]:
    return {name for name, *_ in figures}


def facts(settings: Settings, *arguments: str) -> Any:
    environment = {"TALLY_HOME": str(settings.home)} | ({"TALLY_LOG": settings.log} if settings.log else {})
    done = tally(*arguments, "--json", **environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_they_are_the_figures_of_status_and_verify_and_a_part_that_is_away_leaves_the_others(
    settings: Settings, trace: Path
) -> None:
    with needing(settings, [*storing(settings), PART]) as parts:
        warehouse, _, sink, metrics = parts
        assert isinstance(warehouse, Child) and isinstance(sink, Child) and isinstance(metrics, Child)
        url = metrics.ready()["url"]
        for source in ("one", "one", "other"):
            facts(settings, "import", str(trace), "--set", "model=gpt-4o", "--source", source)
        eventually(lambda: scraped(url).get(("tally_received_total",)) == 3 * (CALLS + 1))

        verified, said, figures = facts(settings, "verify"), facts(settings, "status"), whole(url)
        assert verified["difference"] is None
        events = verified["events"]
        assert (events["counted"], events["rejected"]) == (2 * CALLS, 3)
        assert figures["tally_received_total",] == events["received"]
        assert figures["tally_rejected_total",] == events["rejected"]
        outcomes = ("counted", "duplicate", "conflict", "quarantined")
        assert {name: figures["tally_events_total", name] for name in outcomes} == {n: events[n] for n in outcomes}
        assert said["events"] == {name: events[name] for name in ("received", "rejected", *outcomes)}

        assert sum(one["recorded"] for one in said["partitions"]) == said["records"]["recorded"]
        for one in said["partitions"]:
            number = str(one["partition"])
            for stage, metric in (("recorded", "recorded"), ("folded", "fold"), ("stored", "stored")):
                told = (f"tally_{metric}_offset", number), one[stage]  # an answer may be some seconds old
                eventually(lambda: scraped(url).get(told[0]) == told[1])  # noqa: B023  (called at once)
            figures = whole(url)
            assert one["lag"] == {"folds": 0, "sink": 0}
            assert figures["tally_lag_records", number, "sink"] == figures["tally_lag_records", number, "folds"] == 0
        assert said["rate"]["seconds"] >= 0.5 and said["rate"]["events"] == 0
        ready = {name for name, part in said["parts"].items() if part["state"] == "runs"}
        assert ready == {key[1] for key, value in figures.items() if key[0] == "tally_service_up" and value}

        sink.stop()
        warehouse.stop()
        gone = {"tally_stored_offset", "tally_received_total", "tally_rejected_total", "tally_events_total"}
        eventually(lambda: names(figures) - names(scraped(url)) == gone)
        left = scraped(url)
        assert left["tally_warehouse_up",] == 0
        assert left["tally_service_up", "warehouse"] == left["tally_service_up", "sink"] == 0
        assert ("tally_lag_records", "0", "sink") not in left and left["tally_lag_records", "0", "folds"] == 0


@pytest.fixture
def on_kafka(tmp_path: Path, kafka: str) -> Iterator[Settings]:
    settings = Settings(home=tmp_path / "home", log=f"kafka://{kafka}/{uuid.uuid4().hex}")
    open_log(settings, new=True).close()
    yield settings


def test_on_kafka_they_are_the_same_and_status_tells_every_worker(on_kafka: Settings, trace: Path) -> None:
    with needing(on_kafka, [STREAMS, PART]) as parts:
        metrics = parts[1]
        assert isinstance(metrics, Child)
        url = metrics.ready()["url"]
        facts(on_kafka, "import", str(trace), "--set", "model=gpt-4o")
        said = facts(on_kafka, "status")
        eventually(lambda: sum(v for k, v in scraped(url).items() if k[0] == "tally_recorded_offset") > 16)
        figures = scraped(url)
        for one in said["partitions"]:
            number = str(one["partition"])
            assert figures["tally_recorded_offset", number] == figures["tally_fold_offset", number] == one["folded"]
        assert figures["tally_log_up",] == 1 and figures["tally_warehouse_up",] == 0
        assert "tally_stored_offset" not in names(figures)
        (worker,) = said["workers"]
        assert {int(number): one["next_offset"] for number, one in worker["partitions"].items()} == {
            one["partition"]: one["folded"] for one in said["partitions"]
        }

        environment = {"TALLY_HOME": str(on_kafka.home), "TALLY_LOG": str(on_kafka.log)}
        with subprocess.Popen([*COMMAND, "streams", "worker"], cwd=ROOT, env=home_environment(environment)) as other:
            eventually(lambda: len(_shares(on_kafka)) == 2 and all(_shares(on_kafka)))
            both = _shares(on_kafka)
            assert sorted(int(number) for share in both for number in share) == list(range(16))
            other.kill()
        assert [one["pid"] for one in facts(on_kafka, "status")["workers"]] == [worker["pid"]]


def _shares(settings: Settings) -> list[list[str]]:
    return [list(worker["partitions"] or ()) for worker in facts(settings, "status")["workers"]]


def test_a_source_that_is_slow_or_away_is_absent_and_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tally.status.metrics.WAIT_S", 0.05)
    monkeypatch.setattr("tally.status.metrics.FRESH_S", 0.3)
    answers = threading.Event()
    asked: list[None] = []

    def ask() -> int:
        asked.append(None)
        answers.wait(60)
        if len(asked) == 2:
            raise TallyError("it is away")
        return len(asked)

    source = Source(ask)
    assert [source.answer() for _ in range(3)] == [None, None, None] and len(asked) == 1
    answers.set()
    eventually(lambda: source.answer() == 1)
    time.sleep(0.3)
    assert source.answer() is None and source.answer() is None and len(asked) == 2
    time.sleep(0.3)
    assert source.answer() == 3
