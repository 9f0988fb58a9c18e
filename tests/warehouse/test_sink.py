"""The sink stores every record of the derived topics once, however often it is killed, frozen or doubled."""

import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from ledger.errors import GenerationSuperseded, LogDamaged
from ledger.log import Record
from ledger.log.generation import activate
from ledger.log.sqlite.log import EmbeddedLog
from ledger.log.topics import DECISIONS, ENTRIES
from ledger.settings import Settings
from tests.warehouse.build import NOVEMBER, OCTOBER, derived_record, drain, line, log_of, record, text, write
from tests.warehouse.conftest import Front, eventually, python
from tests.warehouse.test_guard import counts
from warehouse.generations import claim_database
from warehouse.sink import MAX_BATCH_LINES, Sink, cut_batches, read_stored_offsets, run

Processes = Callable[..., Popen[str]]

RUN = """
from ledger.log.sqlite.log import EmbeddedLog
from ledger.settings import Settings
from warehouse.sink import run
run(Settings(), EmbeddedLog(Settings().home))
"""


@pytest.fixture
def settings(front: Front, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A log of its own for each test, on the module's warehouse."""
    monkeypatch.setenv("TALLY_WAREHOUSE", front.url)
    return Settings(home=tmp_path)


def hint(settings: Settings) -> dict[str, dict[str, int]]:
    content: dict[str, dict[str, int]] = json.loads((settings.home / "consumers" / "sink.json").read_text())
    return content


@pytest.fixture
def processes() -> Iterator[Processes]:
    started = []

    def one(settings: Settings, **environment: str) -> Popen[str]:
        started.append(python(RUN, settings.home, **environment))
        return started[-1]

    yield one
    for process in started:
        if process.poll() is None:
            process.kill()


def test_a_batch_is_a_run_of_one_month_and_bounded() -> None:
    october = [derived_record(at, at, b"x" * 10) for at in range(5)]
    november = [derived_record(at, at, b"x\nx\nx", ms=NOVEMBER) for at in range(5, 9)]

    def cut(size: int, lines: int) -> list[tuple[list[int], bool]]:
        found = cut_batches([*october, *november], size, lines)
        return [([one.offset for one in batch.records], batch.full) for batch in found]

    assert cut(1000, 1000) == [([0, 1, 2, 3, 4], True), ([5, 6, 7, 8], False)]
    assert cut(20, 1000) == [([0, 1], True), ([2, 3], True), ([4], True), ([5, 6, 7, 8], False)]
    assert cut(1000, 6) == [([0, 1, 2, 3, 4], True), ([5, 6], True), ([7, 8], False)]
    assert list(cut_batches([])) == []


def test_every_topic_and_partition_is_stored(client: Client, settings: Settings) -> None:
    log_of(settings.home, range(5), partition=2)
    log = log_of(settings.home, range(3), partition=3)
    decision = json.dumps(line(7, 1, decision="control.applied")).encode()
    write(settings.home, [derived_record(0, 7, decision)], DECISIONS)
    sink = Sink(client, log, settings)
    drain(sink)
    assert counts(client) == (80, 160, 8)
    assert client.query("SELECT count() FROM tally.decisions").first_row == (1,)
    said = hint(settings)
    assert said["tally.entries"] == {"2": 4, "3": 2}
    assert said["tally.decisions"] == {"3": 7}


def test_a_new_sink_goes_on_where_the_tables_stand(client: Client, settings: Settings) -> None:
    drain(Sink(client, log_of(settings.home, range(4)), settings))
    log = log_of(settings.home, range(4, 6))
    assert read_stored_offsets(client, ENTRIES) == {3: 3}
    drain(Sink(client, log, settings))
    assert counts(client) == (60, 120, 6)


@pytest.mark.parametrize(
    "said",
    [
        {"outcome": "duplicate", "kind": "inference", "source": "test", "id": "x" * 20, "time_us": OCTOBER * 1000},
        {"outcome": "quarantined", "kind": "unknown", "reason": "schema_mismatch", "detail": "x" * 200},
    ],
)
def test_the_largest_batch_of_short_lines_is_no_more_than_the_engine_takes(
    client: Client, settings: Settings, said: dict[str, Any]
) -> None:
    """A file that was imported twice, and a warehouse that is filled anew: many lines, and most columns are empty."""
    of_a_record = [
        [line(at, seq + 1, index=seq, **said) for seq in range(1_000)] for at in range(MAX_BATCH_LINES // 1_000)
    ]
    write(settings.home, (derived_record(at, at, text(lines)) for at, lines in enumerate(of_a_record)))
    drain(Sink(client, EmbeddedLog(settings.home), settings))
    assert client.command("SELECT count() FROM tally.events") == MAX_BATCH_LINES


@pytest.mark.parametrize("other", [[], [derived_record(0, 4, b"")], [derived_record(0, 5, b"", ms=OCTOBER + 1)]])
def test_a_warehouse_that_another_log_filled_gets_nothing_more(
    client: Client, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: list[Record]
) -> None:
    """The log is empty, ends before what is stored, or has another record there."""
    log = log_of(settings.home, range(6))
    drain(Sink(client, log, settings))
    claim_database(settings, log, client)
    write(tmp_path / "elsewhere", other)
    elsewhere = settings.model_copy(update={"home": tmp_path / "elsewhere"})
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # this process keeps its own
    with pytest.raises(LogDamaged, match=r"filled from another log.*at offset 5 of tally\.events, partition 3"):
        run(elsewhere, EmbeddedLog(elsewhere.home))
    assert counts(client) == (60, 120, 6)


@pytest.mark.parametrize("lost", ["events", "entries", "records", "events records", "events entries"])
def test_tables_that_a_kill_left_apart_are_made_whole(client: Client, settings: Settings, lost: str) -> None:
    log = log_of(settings.home, range(6))
    drain(Sink(client, log, settings))
    for table in lost.split():
        client.command(f"DELETE FROM tally.{table} WHERE offset >= 4")
    drain(Sink(client, log, settings))
    assert counts(client) == (60, 120, 6)


def test_records_without_entries_are_not_sent_again(client: Client, settings: Settings) -> None:
    free = [derived_record(at, at, record(at, 2, pricing="free", lines=[]), ms=OCTOBER) for at in range(3)]
    empty = [derived_record(at, at, record(at, 0), ms=OCTOBER) for at in range(3, 5)]
    write(settings.home, [*free, *empty])
    drain(Sink(client, EmbeddedLog(settings.home), settings))
    assert counts(client) == (6, 0, 5)
    assert read_stored_offsets(client, ENTRIES) == {3: 4}


def test_two_sinks_at_once_and_one_that_was_frozen(client: Client, settings: Settings, processes: Processes) -> None:
    log_of(settings.home, range(40), calls=100)
    one, two = processes(settings), processes(settings)
    eventually(lambda: client.command("SELECT count() FROM tally.records") != 0)
    one.send_signal(signal.SIGSTOP)
    log_of(settings.home, range(40, 80), calls=100)
    eventually(lambda: client.command("SELECT count() FROM tally.records") == 80)
    one.send_signal(signal.SIGCONT)
    log_of(settings.home, range(80, 90), calls=100)
    eventually(lambda: client.command("SELECT count() FROM tally.records") == 90)
    for process in (one, two):
        process.terminate()
        assert process.wait(60) == 0
    assert counts(client) == (9_000, 18_000, 90)


@pytest.mark.parametrize("fault", ["sink.before_insert:1", "sink.after_insert:1", "sink.after_insert:2"])
def test_a_sink_killed_at_a_named_point(client: Client, settings: Settings, processes: Processes, fault: str) -> None:
    for partition in (1, 2, 3):
        log = log_of(settings.home, range(3), partition)
    died = processes(settings, TALLY_FAULT=fault)
    assert died.wait(60) == -signal.SIGKILL
    drain(Sink(client, log, settings))
    assert counts(client) == (90, 180, 9)


def test_a_sink_waits_for_a_warehouse_that_is_away(
    start: Callable[[], Front], processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TALLY_WAREHOUSE", raising=False)
    front = start()
    log_of(front.settings.home, range(10))
    front.kill()
    running = processes(front.settings)
    time.sleep(0.5)
    front.start()  # on another port
    eventually(lambda: (front.settings.home / "consumers" / "sink.json").exists())
    eventually(lambda: hint(front.settings)["tally.entries"] == {"3": 9})
    front.kill()
    log_of(front.settings.home, range(10, 20))
    front.start()
    eventually(lambda: hint(front.settings)["tally.entries"] == {"3": 19})
    running.terminate()
    assert running.wait(60) == 0
    assert counts(front.client()) == (200, 400, 20)


def test_a_sink_whose_generation_is_over_ends(
    client: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = EmbeddedLog(settings.home, generation=1)
    activate(log, 2)
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # this process keeps its own
    with pytest.raises(GenerationSuperseded, match="generation 1 of what is derived is over, as 2 is current"):
        run(settings, log)
