"""The files of a new generation take the place of the old: killed anywhere, the home is one or the other, whole."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from ledger.settings import Settings
from tally.generations import files as moving
from tally.generations.files import BUILD_FOLDER, GENERATION_FILES, Request, locate_previous
from tests.tally.conftest import home_environment

SWITCH = """
import sys
from pathlib import Path
from ledger.settings import Settings
from tally.generations import files as moving
settings = Settings(home=Path(sys.argv[1]))
moving.request_switch(settings, moving.Request(5, 4, "", sys.argv[2] == "keep"))
with moving.switch_lock(settings):
    moving.perform_switch(settings)
"""
WAREHOUSE = "warehouse/store/part"
WAL_FILES = ("log/derived.db-wal", "log/derived.db-shm")


def write_generation(home: Path, content: str) -> None:
    """Write the files of a generation, with its name as their content."""
    for name in (*GENERATION_FILES, WAREHOUSE):
        if name not in ("log/derived.db", "warehouse"):
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (home / name).write_text(content)
    (home / "log").mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(home / "log" / "derived.db") as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("CREATE TABLE said (word)")
        db.execute("INSERT INTO said VALUES (?)", (content,))
    db.close()


def generation(home: Path) -> set[str]:
    """Read the generations that the files belong to."""
    with sqlite3.connect(f"file:{home}/log/derived.db?immutable=1", uri=True) as db:
        (word,) = db.execute("SELECT word FROM said").fetchone()
    db.close()
    files = (home / name for name in (WAREHOUSE, "consumers/sink.json", "consumers/verify.json"))
    return {word, *(file.read_text() for file in files if file.exists())}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home of generation 4, whose writer was killed, with generation 5 beside it."""
    write_generation(tmp_path, "old")
    write_generation(tmp_path / BUILD_FOLDER, "new")
    for name in WAL_FILES:
        (tmp_path / name).write_text("old")
    return tmp_path


def switch(home: Path, keep: str, fault: str = "") -> int:
    variables = {"TALLY_FAULT": fault} if fault else {}
    return subprocess.run([sys.executable, "-c", SWITCH, str(home), keep], env=home_environment(variables)).returncode


@pytest.mark.parametrize("keep", ["keep", "delete"])
def test_the_new_one_is_there_and_the_old_one_kept_or_gone(home: Path, keep: str) -> None:
    settings = Settings(home=home)
    assert switch(home, keep) == 0
    assert generation(home) == {"new"} and not (home / BUILD_FOLDER).exists()
    assert not any((home / name).exists() for name in WAL_FILES)
    assert moving.read_request(settings) is None and [*(home / "run").iterdir()] == [home / "run" / "switch.lock"]
    if keep == "keep":
        assert generation(locate_previous(settings, 4)) == {"old"}
        assert all((locate_previous(settings, 4) / name).read_text() == "old" for name in WAL_FILES)
    else:
        assert not (home / moving.PREVIOUS_FOLDER).exists()


POINTS = (
    "switch.asked:1",
    *(f"switch.{step}:{n}" for step in ("moving", "moved") for n in range(1, len(GENERATION_FILES) + 1)),
)


@pytest.mark.parametrize("fault", [*POINTS, "switch.begun:1", "switch.ending:1"])
def test_a_kill_leaves_the_old_one_or_one_that_the_next_start_completes(home: Path, fault: str) -> None:
    settings = Settings(home=home)
    assert switch(home, "keep", fault) == -9
    if fault == "switch.asked:1":
        moving.complete_switch(settings)
        assert generation(home) == {"old"} and moving.read_request(settings) == Request(5, 4, "", True)
        return
    assert moving.read_request(settings) is None
    moving.complete_switch(settings)
    assert generation(home) == {"new"} and generation(locate_previous(settings, 4)) == {"old"}
    assert not (home / BUILD_FOLDER).exists() and not any((home / name).exists() for name in WAL_FILES)
    before = {path: path.stat().st_mtime_ns for path in home.rglob("*") if path.is_file()}
    moving.complete_switch(settings)
    assert before == {path: path.stat().st_mtime_ns for path in home.rglob("*") if path.is_file()}


def test_a_request_that_is_withdrawn_leaves_the_old_one_alone(home: Path) -> None:
    settings = Settings(home=home)
    moving.request_switch(settings, Request(5, 4, "", True))
    moving.discard_generations(settings)
    assert generation(home) == {"old"} and moving.read_request(settings) is None and not (home / BUILD_FOLDER).exists()


def test_a_home_that_had_derived_nothing_takes_a_new_one(home: Path) -> None:
    for name in (*WAL_FILES, "log/derived.db", WAREHOUSE, "consumers/sink.json"):
        (home / name).unlink()
    assert switch(home, "keep", "switch.moved:1") == -9
    moving.complete_switch(Settings(home=home))
    assert generation(home) == {"new"}


def test_a_request_waits_while_the_home_has_the_log_it_was_made_for(home: Path) -> None:
    embedded, elsewhere = Settings(home=home, log=None), Settings(home=home, log="kafka://elsewhere")
    moving.request_switch(embedded, Request(5, 4, "", True))
    assert moving.read_request(embedded) and moving.read_request(elsewhere) is None
    moving.request_switch(elsewhere, Request(5, 4, "", True, "kafka://elsewhere"))
    assert moving.read_request(elsewhere) and moving.read_request(embedded) is None
