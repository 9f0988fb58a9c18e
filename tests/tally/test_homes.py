"""Folders that can be a home, and the rights on the files that the command makes in it."""

import os
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from audit import sequence_gaps
from ledger.home import tokens
from ledger.log import Draft
from ledger.log.backup import back_up
from ledger.log.open import open_log
from ledger.log.topics import EVENTS
from ledger.settings import Settings, check_home
from streams.embedded.store import Store
from tally.cli.app import app
from tests.tally.conftest import tally
from warehouse.embedded.engine import Engine

WORKS = ["plain", "a b", "a#b", "a%41b", "a'b\"c", "file:x", ":memory:", "é", "link"]
REFUSED = ["a?b", "a?mode=memory", "a\nb", "a\x1b[2Jb", "a" * 300, "a/" * 1_600, "~nobody-of-this-name/x"]


@pytest.mark.parametrize("name", WORKS)
def test_a_folder_of_this_name_is_a_home(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also as a relative path, which SQLite could take for an address."""
    monkeypatch.chdir(tmp_path)
    Path("target").mkdir()
    Path("link").symlink_to("target")
    settings = Settings(home=Path(name))
    tokens.create_token(settings.home, ["acme"], ["write"])
    with closing(open_log(settings, new=True)) as log:
        log.append(EVENTS, [Draft(0, "acme", {}, b'{"source": "s", "sequence": 1}')])
        sequence_gaps.follow(log, settings.home)
    Store(settings.home).close()
    assert sequence_gaps.count_missing(settings.home) == 0 and back_up(settings.home, Path("copy?mode=memory"))[0] == 1
    for home in (Path(name), Path("copy?mode=memory")):
        assert (tmp_path / home / "log" / "recorded.db").stat().st_size > 0
    assert {path.name for path in tmp_path.iterdir()} <= {name, "target", "link", "copy?mode=memory"}


def test_the_warehouse_keeps_its_files_below_a_strange_name(tmp_path: Path) -> None:
    folder = tmp_path / "a#b %41'\"c" / "warehouse"
    Engine(folder).close()
    assert any(folder.iterdir())


@pytest.mark.parametrize("name", REFUSED)
def test_a_folder_that_no_service_can_use_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"name|write"):
        check_home(Path(name) if name.startswith("~") else tmp_path / name)


def test_what_a_link_leads_to_is_refused_too(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "a?b")
    with pytest.raises(ValueError, match="warehouse"):
        Settings(home=tmp_path / "link")


def test_the_users_own_folder_may_be_written_short(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Settings(home=Path("~/x")).home == tmp_path / "x"


@pytest.mark.parametrize("home", ["/proc", "/proc/x", "/dev/null", "/dev/full/x", "a?b", "b\udcff"])
@pytest.mark.parametrize(
    "command", [("status",), ("token", "create", "--role", "write"), ("subject", "erase", "a", "--yes")]
)
def test_what_cannot_be_a_home_is_a_sentence(
    home: str, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TALLY_HOME", home)
    result = CliRunner().invoke(app, list(command))
    assert isinstance(result.exception, SystemExit) and result.exit_code == 2, repr(result.exception)
    assert "TALLY_HOME" in result.output


def test_what_the_command_makes_is_its_users_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    before = os.umask(0o000)
    try:
        for command in (["subject", "erase", "ann", "--yes"], ["log", "backup", str(tmp_path / "copy")]):
            result = tally(*command, TALLY_HOME=str(home))
            assert result.returncode == 0, result.stderr
    finally:
        os.umask(before)
    paths = [home, *home.rglob("*"), tmp_path / "copy", *(tmp_path / "copy").rglob("*")]
    assert [path for path in paths if path.stat().st_mode & 0o077] == []
    assert {path.name for path in paths} >= {"recorded.db", "secrets.json", "persons.db"}
