"""How a log behaves, whichever transport carries it."""

import multiprocessing
import os
import random
import signal
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from ledger.errors import LogDamaged, TallyError
from ledger.log import (
    PARTITIONS,
    READ_BYTES,
    Draft,
    Log,
    Record,
    newest_first,
    partition_of,
    records,
    seek_cause,
    seek_time,
)
from ledger.log.open import open_log
from ledger.log.record import MAX_RECORD_BYTES
from ledger.log.sqlite import tables
from ledger.log.sqlite.log import EmbeddedLog
from ledger.log.topics import ALERTS, DOCUMENTS, EVENTS
from ledger.settings import Settings

SPAWN = multiprocessing.get_context("spawn")


class Open(NamedTuple):
    """Opens the same log again and again, in any process."""

    settings: Settings

    def __call__(self) -> Log:
        return open_log(self.settings, new=True)


@pytest.fixture
def opened(either: str | None, tmp_path: Path) -> Open:
    return Open(Settings(home=tmp_path, log=either))


def draft(text: str, partition: int = 0) -> Draft:
    return Draft(partition, "acme", {"organization": "acme", "channel": "tëst"}, text.encode())


def test_records_are_read_as_they_were_appended(opened: Open) -> None:
    log = opened()
    written = log.append(EVENTS, [draft("a"), draft("b", 3), draft("c")])
    assert [(one.partition, one.offset) for one in written] == [(0, 0), (3, 0), (0, 1)]
    assert list(records(opened(), EVENTS, 0)) == [written[0], written[2]]
    assert [one.digest() for one in records(log, EVENTS, 3)] == [written[1].digest()]
    assert (log.end(EVENTS, 0), log.end(EVENTS, 3), log.end(EVENTS, 1), log.end(DOCUMENTS, 0)) == (2, 1, 0, 0)
    assert (log.last(EVENTS, 0), log.last(EVENTS, 1)) == (written[2], None)


def test_what_nothing_was_derived_from_is_empty(opened: Open) -> None:
    log = opened()
    assert (log.end(ALERTS, 0), log.read(ALERTS, 0, 0), seek_cause(log, ALERTS, 0, 5)) == (0, [], 0)


def test_a_read_takes_at_least_one_and_at_most_what_was_asked(opened: Open) -> None:
    log = opened()
    log.append(EVENTS, [draft("x" * 100) for _ in range(10)])
    assert len(log.read(EVENTS, 0, 2, max_bytes=1)) == 1
    assert [one.offset for one in log.read(EVENTS, 0, 2, max_bytes=250)] == [2, 3, 4]
    assert log.read(EVENTS, 0, 10) == []


def test_records_are_read_from_the_end(opened: Open) -> None:
    log = opened()
    written = log.append(EVENTS, [draft(str(number)) for number in range(300)])
    assert list(newest_first(log, EVENTS, 0, 300)) == written[::-1]
    assert [one.offset for one in newest_first(log, EVENTS, 0, 3)] == [2, 1, 0]
    assert list(newest_first(log, EVENTS, 1, 0)) == []


def test_an_altered_record_has_another_digest(opened: Open) -> None:
    (one,) = opened().append(EVENTS, [draft("a")])
    others = [one._replace(value=b"b"), one._replace(time_ms=one.time_ms + 1), one._replace(headers={})]
    assert len({record.digest() for record in [one, *others]}) == 4


def test_the_logs_time_never_runs_backward(tmp_path: Path) -> None:
    clock = iter([100.0, 50.0, 99.999, 101.0])
    log = EmbeddedLog(tmp_path, clock=lambda: next(clock))
    times = [record.time_ms for text in "abcd" for record in log.append(EVENTS, [draft(text)])]
    assert times == [100_000, 100_000, 100_000, 101_000]


def test_every_organization_has_its_partition() -> None:
    assert partition_of("acme") == partition_of("acme")
    assert {partition_of(f"org-{n}") for n in range(500)} == set(range(PARTITIONS))


def _write(opened: Open, name: str, times: int) -> None:
    log = opened()
    for n in range(times):
        log.append(EVENTS, [draft(f"{name}-{n}-{part}") for part in range(3)])


def test_many_processes_write_one_partition(opened: Open) -> None:
    """Offsets have no gaps, and each writer's order is kept."""
    opened()
    writers = [SPAWN.Process(target=_write, args=(opened, f"w{n}", 30)) for n in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    found = list(records(opened(), EVENTS, 0))
    assert [one.offset for one in found] == list(range(3 * 30 * 3))
    texts = [one.value.decode().split("-") for one in found]
    for name in ("w0", "w1", "w2"):
        written = [(int(n), int(part)) for who, n, part in texts if who == name]
        assert written == [(n, part) for n in range(30) for part in range(3)]


def _write_and_acknowledge(opened: Open, path: Path) -> None:
    log = opened()
    with path.open("w") as acknowledged:
        for n in range(10_000):
            log.append(EVENTS, [draft(f"{n}" + "x" * 20_000)])
            print(n, file=acknowledged, flush=True)


@pytest.mark.parametrize("seed", range(4))
def test_a_killed_writer_loses_nothing_that_was_acknowledged(opened: Open, tmp_path: Path, seed: int) -> None:
    path = tmp_path / "acknowledged"
    writer = SPAWN.Process(target=_write_and_acknowledge, args=(opened, path))
    writer.start()
    while not path.exists() or len(path.read_text().split()) < 20 + 30 * seed:
        time.sleep(0.005)
    assert writer.pid
    os.kill(writer.pid, signal.SIGKILL)
    writer.join()
    acknowledged = len(path.read_text().split())
    log = opened()
    assert acknowledged <= log.end(EVENTS, 0) <= acknowledged + 1, f"seed {seed}"
    log.append(EVENTS, [draft("after")])
    assert [one.offset for one in records(log, EVENTS, 0)] == list(range(log.end(EVENTS, 0)))


def test_a_large_append_stands_whole(opened: Open) -> None:
    log = opened()
    written = log.append(EVENTS, [draft(str(n) * (READ_BYTES // 3)) for n in range(7)])
    assert [one.offset for one in written] == list(range(7)) and log.end(EVENTS, 0) == 7
    assert list(records(log, EVENTS, 0)) == written


def test_an_oversized_record_is_refused_and_stops_nothing(opened: Open) -> None:
    """Kafka's client fails every later send once a broker has refused one: so it never gets there."""
    log = opened()
    with pytest.raises(TallyError, match="too large"):
        log.append(EVENTS, [draft("before"), draft(os.urandom(MAX_RECORD_BYTES).hex())])
    largest = draft(os.urandom((MAX_RECORD_BYTES - 1_100) // 2).hex())
    assert log.append(EVENTS, [largest])[0].offset == 0 and log.read(EVENTS, 0, 0)[0].value == largest.value


def test_places_are_read_in_any_order(opened: Open) -> None:
    log = opened()
    written = log.append(EVENTS, [draft(f"{n}" * 100, n % 3) for n in range(3000)])
    chance = random.Random(1)
    for _ in range(60):
        partition, offset = chance.randrange(3), chance.randrange(1001)
        found = log.read(EVENTS, partition, offset, max_bytes=chance.choice([1, 1000, 1 << 20]))
        assert found == written[partition::3][offset : offset + len(found)] and bool(found) == (offset < 1000)
    assert log.ends(EVENTS) == [1000, 1000, 1000, *[0] * 13]


def test_a_place_in_time_is_found(opened: Open) -> None:
    log = opened()
    written = []
    for text in "abc":
        written += log.append(EVENTS, [draft(text)])
        time.sleep(0.003)
    assert [seek_time(log, EVENTS, 0, one.time_ms) for one in written] == [0, 1, 2]
    assert seek_time(log, EVENTS, 0, written[-1].time_ms + 1) == 3


def test_threads_share_a_log(opened: Open) -> None:
    log = opened()

    def work(partition: int) -> list[bytes]:
        written = [log.append(EVENTS, [draft(f"{n}", partition)])[0].value for n in range(30)]
        assert [one.value for one in records(log, EVENTS, partition)] == written
        return written

    with ThreadPoolExecutor(4) as pool:
        assert all(len(written) == 30 for written in pool.map(work, range(4)))


def _fill(home: Path) -> None:
    import resource

    log = EmbeddedLog(home)
    log.append(EVENTS, [draft("before")])
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 18, 1 << 18))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        for _ in range(100):
            log.append(EVENTS, [draft(os.urandom(20_000).hex())])
    except TallyError as error:
        (home / "said").write_text(str(error))


def test_a_disk_that_is_full_is_a_sentence_and_no_damage(tmp_path: Path) -> None:
    writer = SPAWN.Process(target=_fill, args=(tmp_path,))
    writer.start()
    writer.join()
    assert "free some space" in (tmp_path / "said").read_text()
    log = EmbeddedLog(tmp_path)
    log.append(EVENTS, [draft("after")])
    assert [one.value for one in records(log, EVENTS, 0)][:: log.end(EVENTS, 0) - 1] == [b"before", b"after"]


def test_a_reader_sees_what_is_derived_anew(tmp_path: Path) -> None:
    """While it reads, the file of the derived topics is deleted and made again."""
    log = EmbeddedLog(tmp_path)
    for names in (["a"], ["b", "c"]):
        for path in (tmp_path / "log").glob("derived.db*"):
            path.unlink()
        with closing(tables.open_file(tmp_path / "log" / "derived.db", writes=True)) as derived:
            tables.create_tables(derived, [ALERTS])
            for offset, name in enumerate(names):
                tables.insert_record(derived, ALERTS, Record(0, offset, 1, "acme", {}, name.encode()))
        assert [one.value.decode() for one in records(log, ALERTS, 0)] == names


def test_threads_read_on_while_the_derived_file_is_made_anew(tmp_path: Path) -> None:
    """As the pages do: they share a log. None of them may be left with a connection that another one closed."""
    log, path = EmbeddedLog(tmp_path), tmp_path / "log" / "derived.db"
    (tmp_path / "log").mkdir(exist_ok=True)
    ended = threading.Event()

    def read() -> int:
        times = 0
        while not ended.is_set():
            log.last(ALERTS, 0)
            times += 1
        return times

    with ThreadPoolExecutor(3) as pool:
        readers = [pool.submit(read) for _ in range(3)]
        for number in range(30):
            made = tmp_path / f"{number}.db"
            with closing(tables.open_file(made, writes=True)) as derived:
                tables.create_tables(derived, [ALERTS])
                tables.insert_record(derived, ALERTS, Record(0, 0, 1, "acme", {}, b"x"))
            made.replace(path)
        ended.set()
        assert all(reader.result() for reader in readers)
    found = log.last(ALERTS, 0)
    assert found is not None and found.value == b"x"


def test_an_unreadable_record_is_said(tmp_path: Path) -> None:
    log = EmbeddedLog(tmp_path)
    log.append(EVENTS, [draft("a")])
    log._recorded.execute("UPDATE tally_events SET value = x'00'")
    with pytest.raises(LogDamaged, match="partition 0, offset 0"):
        log.read(EVENTS, 0, 0)


def test_a_log_of_another_format_is_refused_and_left_alone(tmp_path: Path) -> None:
    with closing(EmbeddedLog(tmp_path)) as log:
        log.append(EVENTS, [Draft(0, "acme", {}, b"{}")])
    with closing(sqlite3.connect(tmp_path / "log" / "recorded.db")) as db:
        db.execute("PRAGMA user_version = 0")  # as the versions before stamped it
    with pytest.raises(LogDamaged, match=r"records of format 0, and this version reads format 2: move .* away"):
        EmbeddedLog(tmp_path)
