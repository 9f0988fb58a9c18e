"""A copy of a log that others append to: it is one moment of it, and a home."""

import stat
import threading
from contextlib import closing
from pathlib import Path

import pytest

from ledger.errors import TallyError
from ledger.home.secrets import ensure_secret
from ledger.log import Draft, records
from ledger.log.backup import back_up
from ledger.log.sqlite.log import EmbeddedLog
from ledger.log.topics import DOCUMENTS, EVENTS
from tests.tally.conftest import invoke, tally

HEADERS = {"organization": "acme"}


def test_a_copy_is_one_moment_of_a_log_that_goes_on(tmp_path: Path) -> None:
    log = EmbeddedLog(tmp_path / "home")
    log.append(DOCUMENTS, [Draft(0, "digest", {}, b"book")])
    key = ensure_secret(tmp_path / "home", "a key")
    done = threading.Event()

    def append() -> None:
        with closing(EmbeddedLog(tmp_path / "home")) as mine:
            while not done.is_set():
                mine.append(EVENTS, [Draft(0, "acme", HEADERS, b"x" * 20_000), Draft(1, "acme", HEADERS, b"y")])

    appending = threading.Thread(target=append)
    appending.start()
    try:
        copies = [(tmp_path / str(number), *back_up(tmp_path / "home", tmp_path / str(number))) for number in range(5)]
    finally:
        done.set()
        appending.join()
    counts = []
    for folder, count, size in copies:
        with closing(EmbeddedLog(folder)) as copy:
            assert copy.end(EVENTS, 0) == copy.end(EVENTS, 1), "a transaction is there whole or not at all"
            for topic, partition in ((EVENTS, 0), (EVENTS, 1), (DOCUMENTS, 0)):
                kept = list(records(copy, topic, partition))
                assert kept == list(records(log, topic, partition, end=len(kept)))
            counts.append(copy.end(EVENTS, 0) + copy.end(EVENTS, 1))
        assert count == counts[-1] and size >= (folder / "log" / "recorded.db").stat().st_size
        assert ensure_secret(folder, "a key") == key and stat.S_IMODE((folder / "secrets.json").stat().st_mode) == 0o600
    assert counts == sorted(counts) and counts[0] < counts[-1]


def test_it_overwrites_nothing_and_leaves_nothing_half(tmp_path: Path) -> None:
    EmbeddedLog(tmp_path / "home").close()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "something").touch()
    with pytest.raises(TallyError, match="is there already"):
        back_up(tmp_path / "home", tmp_path / "full")
    (tmp_path / "home" / "log" / "recorded.db").write_bytes(b"no database" * 1000)
    with pytest.raises(TallyError, match="cannot back up"):
        back_up(tmp_path / "home", tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full", "home"]


def test_the_command_names_the_way_out(tmp_path: Path) -> None:
    home, copy = str(tmp_path / "home"), str(tmp_path / "copy")
    assert invoke("log", "backup", copy, TALLY_HOME=home).returncode == 2
    EmbeddedLog(tmp_path / "home").close()
    done = tally("log", "backup", copy, TALLY_HOME=home)
    assert done.returncode == 0 and "0 records of tally.events" in done.stdout
    again = invoke("log", "backup", copy, TALLY_HOME=home)
    assert again.returncode == 2 and "name a new folder" in again.stderr
    kafka = invoke("log", "backup", copy, TALLY_HOME=home, TALLY_LOG="kafka://user:hidden@nowhere:1/x")
    assert kafka.returncode == 2 and "docs/operations.md" in kafka.stderr and "hidden" not in kafka.stderr
