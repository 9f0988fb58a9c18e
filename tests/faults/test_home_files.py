"""Every file of a home, from its layout's list, damaged in every way: a sentence names it and the way out, nothing ends
in a traceback, nothing is appended to a log that lost its past, and with the file restored all is as it was."""

import json
import os
import shutil
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from alerting.problems import find_troubles
from ledger.errors import TallyError
from ledger.home.inspection import find_problems
from ledger.home.layout import FILES, LOG_MARKER, RECORDED, HomeFile
from ledger.settings import Settings
from tests.faults.damage import (
    DAMAGES,
    QUICK,
    Damage,
    another_shape,
    build,
    delete,
    empty,
    folder,
    garbage,
    half,
    paths,
    restore,
    results,
)

HARMLESS = ("text", "lock")
"""Kinds whose content says nothing that anybody needs."""


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("pristine") / "home"
    build(home)
    return home


@pytest.fixture
def settings(pristine: Path, tmp_path: Path) -> Settings:
    shutil.copytree(pristine, tmp_path / "home", symlinks=True)
    return Settings(home=tmp_path / "home")


def sentences(settings: Settings) -> list[str]:
    return [str(error) for error in results(settings).values() if isinstance(error, TallyError)]


def every_problem(home: Path) -> list[str]:
    """What `tally status` tells of the home's files; the alerts look at their own."""
    return [*find_problems(home), *find_troubles(home)]


def test_the_home_has_a_file_of_every_entry(pristine: Path) -> None:
    there = {file.pattern for file, _ in paths(pristine)}
    transient = {"run/switching.json", "**/*.db-wal", "**/*.db-shm", "deliveries.db.damaged-*"}
    assert {file.pattern for file in FILES if file.kind != "folder"} - there <= transient


def test_an_undamaged_home_has_no_problem(settings: Settings) -> None:
    assert sentences(settings) == [] and every_problem(settings.home) == []


NAMES = [file.pattern for file in FILES if file.kind != "folder" and not file.pattern.endswith(("-wal", "-shm", "-*"))]


@pytest.mark.parametrize("pattern", NAMES)
def test_a_damaged_file_is_named_with_its_way_out(pattern: str, settings: Settings, pristine: Path) -> None:
    for damage in QUICK:
        _damage_and_restore(pattern, damage, settings, pristine)
    assert sentences(settings) == [] and every_problem(settings.home) == []


@pytest.mark.long
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("pattern", NAMES)
def test_every_damage_of_every_file(pattern: str, damage: Damage, settings: Settings, pristine: Path) -> None:
    _damage_and_restore(pattern, damage, settings, pristine)
    assert sentences(settings) == [] and every_problem(settings.home) == []


def _damage_and_restore(pattern: str, damage: Damage, settings: Settings, pristine: Path) -> None:
    home = settings.home
    file = next(file for file in FILES if file.pattern == pattern)
    path = _path(home, file)
    damage(path)
    said = [*every_problem(home), *sentences(settings)]
    if _is_told(file, damage):
        assert any(str(path) in sentence for sentence in said), (damage.__name__, said)
    restore(home, pristine)


def _path(home: Path, file: HomeFile) -> Path:
    if file.pattern == "run/switching.json":
        (home / file.pattern).write_text("{}")
    return next(path for other, path in paths(home) if other is file)


def _is_told(file: HomeFile, damage: Damage) -> bool:
    if file.kind in HARMLESS or damage is delete or (file is LOG_MARKER and damage is another_shape):
        return file is RECORDED
    return True


@pytest.mark.parametrize("damage", [empty, delete, garbage, half, folder])
def test_nothing_is_appended_to_a_log_that_lost_its_past(damage: Damage, settings: Settings) -> None:
    path = RECORDED.path(settings.home)
    damage(path)
    before = path.read_bytes() if path.is_file() else None
    told = results(settings)
    assert all(isinstance(told[name], TallyError) for name in ("read", "append", "fold")), told
    assert (path.read_bytes() if path.is_file() else None) == before
    assert "restore it from a copy" in str(told["append"]) or "something else stands" in str(told["append"])


def test_a_log_restored_from_an_older_copy_takes_nothing(settings: Settings, pristine: Path) -> None:
    assert sentences(settings) == []  # a record more, which is folded
    shutil.copyfile(RECORDED.path(pristine), RECORDED.path(settings.home))
    told = results(settings)
    assert "restored from an older copy" in str(told["append"])
    assert "restore the log from a newer copy" in str(told["fold"])
    for derived in (settings.home / "log").glob("derived.db*"):
        derived.unlink()
    assert sentences(settings) == []  # what was derived from what is lost is gone


def test_with_damaged_names_tokens_or_derived_facts_are_recorded(settings: Settings) -> None:
    for name in ("persons.db", "tokens.json", "log/derived.db", "routes.json", "deliveries.db"):
        garbage(settings.home / name)
    told = results(settings)
    assert not isinstance(told["append"], TallyError) and not isinstance(told["read"], TallyError)
    assert isinstance(told["fold"], TallyError) and "tally rebuild" in str(told["fold"])


@pytest.mark.parametrize("damage", [garbage, empty, half])
def test_keys_are_never_replaced(damage: Damage, settings: Settings) -> None:
    path = settings.home / "secrets.json"
    damage(path)
    before = path.read_bytes()
    assert "never begin a new one" in str(results(settings)["secret"])
    assert path.read_bytes() == before
    path.write_text("{}")  # as of a copy from before the organization came
    assert "the key of 'default' is missing" in str(results(settings)["secret"])
    path.unlink()
    assert "the key of 'default' is missing" in str(results(settings)["secret"]) and not path.exists()


@pytest.fixture
def open_home(pristine: Path) -> Iterator[Path]:
    """A home that other users reach. It lies outside of pytest's folder, which every run of pytest closes to them."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        shutil.copytree(pristine, Path(folder) / "home", symlinks=True)
        yield Path(folder) / "home"


@pytest.mark.skipif(os.geteuid() != 0, reason="NOT RUN: another user's rights take the right to become that user")
def test_a_file_that_may_not_be_read_is_named(open_home: Path, pristine: Path) -> None:
    """As the user nobody, to whom the home belongs and one file of it does not. In one child, as a user does not come
    back from there."""
    home, settings = open_home, Settings(home=open_home)
    names = [path.relative_to(home) for file, path in paths(home) if file.kind in ("json", "sqlite")]
    said = {}
    for name in names:
        restore(home, pristine)
        for path in (home, *home.rglob("*")):
            os.chown(path, 65534, 65534)
        os.chown(home / name, 0, 0)
        (home / name).chmod(0o600)
        said[str(name)] = _as_nobody(settings)
    assert {name for name, sentences in said.items() if not any(name in one for one in sentences)} == set()


def _as_nobody(settings: Settings) -> list[str]:
    """The sentences that the user nobody is told; what ends in a traceback fails here."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            content: Any = [*sentences(settings), *every_problem(settings.home)]
        except BaseException as error:  # noqa: BLE001  (the parent tells it)
            content = "".join(traceback.format_exception(error))
        os.write(writing, json.dumps(content)[:60_000].encode())
        sys.stdout.flush()
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        content = json.load(pipe)
    os.waitpid(child, 0)
    assert isinstance(content, list), content
    return content


@pytest.fixture
def no_umask() -> Iterator[None]:
    before = os.umask(0o000)
    yield
    os.umask(before)


def test_a_home_is_its_owners_alone(no_umask: None, tmp_path: Path) -> None:
    """Also where the process lets everything be read by all: under `tally` a umask keeps what libraries make."""
    build(tmp_path / "home")
    wide = [path for path in (tmp_path / "home").rglob("*") if path.suffix != ".lock" and path.stat().st_mode & 0o077]
    assert wide == [] and (tmp_path / "home").stat().st_mode & 0o777 == 0o700


def test_a_home_that_others_may_enter_is_told_with_what_mends_it(settings: Settings) -> None:
    settings.home.chmod(0o755)
    (told,) = every_problem(settings.home)
    assert "0755" in told and f"chmod -R go-rwx {settings.home}" in told
