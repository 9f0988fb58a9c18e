"""Names beside the log: kept once, forgotten for good."""

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ingest.controls.erasure import erase_person
from ingest.intake.intake import Intake, open_intake
from ingest.intake.rejection import Rejection
from ledger.home.persons import Persons
from ledger.log.open import open_log
from ledger.settings import Settings
from tests.ingest.api.conftest import call, lines
from tests.tally.conftest import invoke, tally


def test_a_name_is_kept_once_and_forgotten_for_good(tmp_path: Path) -> None:
    with closing(Persons(tmp_path)) as persons, closing(Persons(tmp_path)) as other:
        assert persons.find_names("acme", ["p_1"]) == {} and not (tmp_path / "persons.db").exists()
        persons.remember("acme", "p_1", "alice")
        persons.remember("acme", "p_1", "alice")
        persons.remember("beta", "p_1", "bob")
        assert other.find_names("acme", ["p_1", "p_2"]) == {"p_1": "alice"}
        assert persons.erase("acme", "p_1") and not persons.erase("acme", "p_1")
        for one in (persons, other):
            one.remember("acme", "p_1", "alice")
            assert one.find_names("acme", ["p_1"]) == {}
        assert other.list_persons(None, 10) == [("acme", "p_1", None), ("beta", "p_1", "bob")]
        assert other.list_persons("beta", 10) == [("beta", "p_1", "bob")]
    assert b"alice" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


def test_one_that_was_never_met_is_not_taken_up_after_its_erasure(tmp_path: Path) -> None:
    with closing(Persons(tmp_path)) as persons:
        assert not persons.erase("acme", "p_1")
        persons.remember("acme", "p_1", "alice")
        assert persons.find_names("acme", ["p_1"]) == {}


def test_a_table_that_cannot_be_written_costs_no_event(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "persons.db").write_bytes(b"no database" * 1000)
    entered = open_intake(tmp_path, "acme").accept(lines(call("1", user="alice")))
    assert b'"user":"p_' in entered.line
    assert "names of persons are not kept now" in (said := capsys.readouterr().out) and "alice" not in said


def test_only_names_of_what_enters_are_kept() -> None:
    kept: dict[str, str] = {}
    entrance = Intake("key", remember=kept.__setitem__)
    with pytest.raises(Rejection):
        entrance.accept(lines(call("1", user="alice", tokens={"input": -1})))
    assert kept == {}
    entrance.accept(lines(call("1", user="bob", customer="c", acting_for=["d"], tool_arguments_hash="not a person")))
    assert sorted(kept.values()) == ["bob", "c", "d"]


def test_the_command_lists_and_erases(either: str | None, tmp_path: Path) -> None:
    home = {"TALLY_HOME": str(tmp_path / "home"), "TALLY_LOG": either or ""}
    path = tmp_path / "events.ndjson"
    path.write_bytes(lines(call("1", user="alice"), call("2", user="alice"), call("3", customer="Evil [red]Corp")))
    assert tally("import", str(path), **home).returncode == 0
    shown = invoke("subject", "list", **home).stdout
    assert shown.count("alice") == 1 and "Evil [red]Corp" in shown
    refused = invoke("subject", "erase", "alice", stdin="n\n", **home)
    assert refused.returncode == 1 and "Limits: " in refused.stderr
    done = tally("subject", "erase", "alice", stdin="y\n", **home)
    assert done.returncode == 0 and "the name is erased" in done.stdout
    again = invoke("import", str(path), **home)
    assert "duplicate 3" in again.stdout
    shown = invoke("subject", "list", **home).stdout
    assert "alice" not in shown and "(erased)" in shown
    events = invoke("log", "events", "--limit", "30", **home).stdout
    assert "alice" not in events
    assert '"control":"subject.erased"' in events and '"subject":"p_' in events


def test_a_name_that_a_reader_holds_is_not_called_forgotten(tmp_path: Path) -> None:
    """Another process in a read transaction keeps the journal, and the name in it, until it ends."""
    home = {"TALLY_HOME": str(tmp_path / "home")}
    path = tmp_path / "events.ndjson"
    path.write_bytes(lines(call("1", team="agent of QZXann@example.com")))
    assert tally("import", str(path), **home).returncode == 0
    files = [tmp_path / "home" / f"persons.db{suffix}" for suffix in ("", "-wal")]
    with closing(sqlite3.connect(files[0], isolation_level=None)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM persons").fetchone() == (1,)
        held = tally("subject", "erase", "QZXann@example.com", "--yes", **home)
        assert held.returncode == 1 and held.stdout == "", held.stdout
        assert "is not erased yet" in held.stderr and "run this command again" in held.stderr
        assert f"process {os.getpid()}" in held.stderr or not Path("/proc/self/fd").exists()
        as_json = json.loads(tally("subject", "erase", "QZXann@example.com", "--yes", "--json", **home).stdout)
        assert as_json["forgotten"] is False and as_json["held_by"]
        assert any(b"QZXann" in file.read_bytes() for file in files if file.exists())
        reader.execute("COMMIT")
    done = tally("subject", "erase", "QZXann@example.com", "--yes", **home)
    assert done.returncode == 0 and "the name is erased" in done.stdout and "snapshots" in done.stdout, done.stderr
    assert not any(b"QZXann" in file.read_bytes() for file in files if file.exists())


def test_a_writer_that_holds_the_table_is_told_too(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    open_intake(tmp_path, "acme").accept(lines(call("1", user="alice")))
    with closing(open_log(settings, new=True)) as log, closing(sqlite3.connect(tmp_path / "persons.db")) as writer:
        writer.execute("BEGIN IMMEDIATE")
        assert erase_person(log, settings, "acme", "alice").held_by
        writer.rollback()
        assert erase_person(log, settings, "acme", "alice").held_by == ()


@pytest.mark.parametrize("name", ["al", "persons", "x" * 1000, "é" * 256])
def test_names_of_any_length_leave_no_trace(tmp_path: Path, name: str) -> None:
    """Also words of the table's own, and what lies on two pages; the same name of another organization stays."""
    with closing(Persons(tmp_path)) as persons:
        for number in range(300):
            persons.remember("acme", f"p_{number:024x}", f"other {number}")
        persons.remember("acme", "p_" + "a" * 24, name)
        persons.remember("beta", "p_" + "b" * 24, name)
        assert persons.erase("acme", "p_" + "a" * 24)
        assert persons.overwrite_erased("p_" + "a" * 24, name) == ()
        assert persons.find_names("beta", ["p_" + "b" * 24]) == {"p_" + "b" * 24: name}
        assert ("a" * 8 + name).encode() not in (tmp_path / "persons.db").read_bytes()
