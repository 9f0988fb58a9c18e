"""The metrics as Prometheus scrapes them, of real services, compared with `tally status` and `tally verify`."""

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
from tally.processes.service import METRICS as METRICS_SERVICE
from tally.processes.service import STREAMS, Child, list_pipeline_services
from tally.status.metrics import Source
from tests.tally.conftest import COMMAND, ROOT, eventually, home_environment, invoke

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


def scrape(url: str) -> Figures:
    """Scrape every sample, by its name and the values of its labels in the order of their names."""
    with urllib.request.urlopen(url, timeout=30) as page:
        text = page.read().decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert set(families) == {metric.name.removesuffix("_total") for metric in METRICS}
    samples = [sample for family in families.values() for sample in family.samples]
    return {(sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value for sample in samples}


def scrape_all(url: str) -> Figures:
    """Scrape until every source has answered: a slow one is omitted from a scrape."""
    scrapes: list[Figures] = []

    def answers() -> bool:
        scrapes.append(scrape(url))
        return scrapes[-1]["tally_log_up",] == scrapes[-1]["tally_warehouse_up",] == 1

    eventually(answers)
    return scrapes[-1]


def names(figures: Figures) -> set[str]:
    return {name for name, *_ in figures}


def facts(settings: Settings, *arguments: str) -> Any:
    environment = {"TALLY_HOME": str(settings.home)} | ({"TALLY_LOG": settings.log} if settings.log else {})
    command = invoke(*arguments, "--json", **environment)
    assert command.returncode == 0, command.stderr
    return json.loads(command.stdout)


def test_they_are_the_figures_of_status_and_verify_and_a_service_that_is_away_leaves_the_others(
    settings: Settings, trace: Path
) -> None:
    with needing(settings, [*list_pipeline_services(settings), METRICS_SERVICE]) as services:
        warehouse, _, sink, metrics = services
        assert isinstance(warehouse, Child) and isinstance(sink, Child) and isinstance(metrics, Child)
        url = metrics.wait_until_ready()["url"]
        for source in ("one", "one", "other"):
            facts(settings, "import", str(trace), "--set", "model=gpt-4o", "--source", source)
        eventually(lambda: scrape(url).get(("tally_received_total",)) == 3 * (CALLS + 1))

        verified, status, figures = facts(settings, "verify"), facts(settings, "status"), scrape_all(url)
        assert verified["difference"] is None
        events = verified["events"]
        assert (events["counted"], events["rejected"]) == (2 * CALLS, 3)
        assert figures["tally_received_total",] == events["received"]
        assert figures["tally_rejected_total",] == events["rejected"]
        outcomes = ("counted", "duplicate", "conflict", "quarantined", "held")
        assert {name: figures["tally_events", name] for name in outcomes} == {n: events[n] for n in outcomes}
        assert status["events"] == {name: events[name] for name in ("received", "rejected", *outcomes)}

        assert sum(partition["recorded"] for partition in status["partitions"]) == status["records"]["recorded"]
        for partition in status["partitions"]:
            number = str(partition["partition"])
            for stage, metric in (("recorded", "recorded"), ("folded", "fold"), ("stored", "stored")):
                figure = (f"tally_{metric}_offset", number), partition[stage]  # an answer may be some seconds old
                eventually(lambda: scrape(url).get(figure[0]) == figure[1])  # noqa: B023  (called at once)
            figures = scrape_all(url)
            assert partition["lag"] == {"folds": 0, "sink": 0}
            assert figures["tally_lag_records", number, "sink"] == figures["tally_lag_records", number, "folds"] == 0
        assert status["rate"]["seconds"] >= 0.5 and status["rate"]["events"] == 0
        ready = {name for name, service in status["services"].items() if service["state"] == "running"}
        assert ready == {key[1] for key, value in figures.items() if key[0] == "tally_service_up" and value}

        sink.stop()
        warehouse.stop()
        absent = {"tally_stored_offset", "tally_received_total", "tally_rejected_total", "tally_events"}
        eventually(lambda: names(figures) - names(scrape(url)) == absent)
        remaining = scrape(url)
        assert remaining["tally_warehouse_up",] == 0
        assert remaining["tally_service_up", "warehouse"] == remaining["tally_service_up", "sink"] == 0
        assert ("tally_lag_records", "0", "sink") not in remaining and remaining["tally_lag_records", "0", "folds"] == 0


@pytest.fixture
def on_kafka(tmp_path: Path, kafka: str) -> Iterator[Settings]:
    settings = Settings(home=tmp_path / "home", log=f"kafka://{kafka}/{uuid.uuid4().hex}")
    open_log(settings, new=True).close()
    yield settings


def test_on_kafka_they_are_the_same_and_status_tells_every_worker(on_kafka: Settings, trace: Path) -> None:
    with needing(on_kafka, [STREAMS, METRICS_SERVICE]) as services:
        metrics = services[1]
        assert isinstance(metrics, Child)
        url = metrics.wait_until_ready()["url"]
        facts(on_kafka, "import", str(trace), "--set", "model=gpt-4o")
        status = facts(on_kafka, "status")
        eventually(lambda: sum(v for k, v in scrape(url).items() if k[0] == "tally_recorded_offset") > 16)
        figures = scrape(url)
        for entry in status["partitions"]:
            number = str(entry["partition"])
            assert figures["tally_recorded_offset", number] == figures["tally_fold_offset", number] == entry["folded"]
        assert figures["tally_log_up",] == 1 and figures["tally_warehouse_up",] == 0
        assert "tally_stored_offset" not in names(figures)
        (worker,) = status["workers"]
        assert {int(number): entry["next_offset"] for number, entry in worker["partitions"].items()} == {
            entry["partition"]: entry["folded"] for entry in status["partitions"]
        }

        environment = {"TALLY_HOME": str(on_kafka.home), "TALLY_LOG": str(on_kafka.log)}
        with subprocess.Popen(
            [*COMMAND, "streams", "worker"], cwd=ROOT, env=home_environment(environment)
        ) as second_worker:
            eventually(lambda: len(_shares(on_kafka)) == 2 and all(_shares(on_kafka)))
            shares = _shares(on_kafka)
            assert sorted(int(number) for share in shares for number in share) == list(range(16))
            second_worker.kill()
        assert [entry["pid"] for entry in facts(on_kafka, "status")["workers"]] == [worker["pid"]]


def _shares(settings: Settings) -> list[list[str]]:
    return [list(worker["partitions"] or ()) for worker in facts(settings, "status")["workers"]]


def test_a_source_that_is_slow_or_away_is_absent_and_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tally.status.metrics.ANSWER_TIMEOUT_S", 0.05)
    monkeypatch.setattr("tally.status.metrics.MAX_AGE_S", 0.3)
    answers = threading.Event()
    requests: list[None] = []

    def ask() -> int:
        requests.append(None)
        answers.wait(60)
        if len(requests) == 2:
            raise TallyError("it is away")
        return len(requests)

    source = Source(ask)
    assert [source.answer() for _ in range(3)] == [None, None, None] and len(requests) == 1
    answers.set()
    eventually(lambda: source.answer() == 1)
    time.sleep(0.3)
    assert source.answer() is None and source.answer() is None and len(requests) == 2
    time.sleep(0.3)
    assert source.answer() == 3
