"""A home on a disk that is full, or that was made read-only: every command says so, nothing that was acknowledged is
lost, and with room all goes on. The disk is a real one, which takes the right to mount it."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ledger.errors import TallyError
from ledger.home.layout import FILES, RECORDED
from ledger.log import PARTITIONS, records
from ledger.log.open import open_log
from ledger.log.topics import EVENTS
from ledger.settings import Settings
from tests.faults.damage import build, paths, try_actions
from tests.ingest.api.conftest import Served, call, lines
from tests.tally.conftest import tally


class Disk:
    """A small disk of memory at a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self) -> None:
        """Leave no byte free, and no file to be made."""
        with self._filler.open("wb", buffering=0) as file:
            for size in (1 << 20, 1 << 12, 1):
                try:
                    while file.write(b"x" * size):
                        pass
                except OSError:
                    continue

    def free(self) -> None:
        self._filler.unlink()

    def mount(self, options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", str(self.folder)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=12m,mode=0700", "none", str(folder)], capture_output=True, text=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"NOT RUN: a small disk takes the right to mount one ({mounted.stderr.strip()})")
    yield Disk(folder)
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def counts(settings: Settings) -> list[int]:
    log = open_log(settings)
    try:
        return [len(list(records(log, EVENTS, number))) for number in range(PARTITIONS)]
    finally:
        log.close()


def results(settings: Settings) -> dict[str, Any]:
    """What came of each thing; what ends in a traceback fails here."""
    return dict(try_actions(settings))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["full", "read-only"])
def test_a_home_without_room_says_so_and_goes_on_with_it(disk: Disk, kind: str) -> None:
    settings = build(disk.folder / "home")
    before = counts(settings)
    if kind == "full":
        disk.fill()
    else:
        disk.mount("ro")
    outcomes = results(settings)
    if kind == "full":
        disk.free()
    else:
        disk.mount("rw")
    refused = {name: str(outcome) for name, outcome in outcomes.items() if isinstance(outcome, TallyError)}
    assert "append" in refused, outcomes
    assert any(word in refused["append"] for word in ("free some", "read-only", "Read-only")), refused
    assert str(settings.home) in refused["append"], refused
    assert counts(settings) == before
    again = results(settings)
    assert [str(outcome) for outcome in again.values() if isinstance(outcome, TallyError)] == []


@pytest.mark.timeout(300)
def test_what_is_refused_on_a_full_disk_names_the_home(disk: Disk) -> None:
    """Of what is done with each file of the layout's list, on a disk without room for one byte more."""
    settings = build(disk.folder / "home")
    there = {file.pattern for file, _ in paths(settings.home)}
    assert len(there) > len([file for file in FILES if file.kind in ("json", "sqlite")]) - 4
    disk.fill()
    refused = [str(outcome) for outcome in results(settings).values() if isinstance(outcome, TallyError)]
    disk.free()
    assert all(str(settings.home) in sentence or str(disk.folder) in sentence for sentence in refused), refused


@pytest.mark.timeout(300)
def test_the_http_api_of_a_read_only_home_does_not_start_and_says_why(disk: Disk) -> None:
    """A disk on which files are open for writing is not made read-only: so it is before the start."""
    settings = build(disk.folder / "home")
    disk.mount("ro")
    for command in (("api", "serve"), ("verify",), ("up",)):
        done = tally(*command, TALLY_HOME=str(settings.home), TALLY_API_PORT="0", TALLY_WAREHOUSE_PORT="0")
        assert done.returncode == 2, done
        assert "Traceback" not in done.stderr and str(settings.home) in done.stderr.replace("\n", ""), done.stderr


@pytest.mark.timeout(300)
def test_ingestion_refuses_what_it_cannot_keep(disk: Disk) -> None:
    settings = Settings(home=disk.folder / "home")
    served = Served(settings)
    served.bearer("write")
    served._log = disk.folder.parent / "api.log"
    served.start()
    try:
        assert served.send(lines(call("kept"))).status == 200
        disk.fill()
        refused = served.send(lines(*(call(f"{number}", model="m" * 200) for number in range(2000))))
        assert refused.status in (503, 507), refused
        assert json.loads(refused.body), refused
        disk.free()
        later = served.send(lines(call("later")))
        assert later.status == 200, (later, served._log.read_text()[-2000:])
    finally:
        served.kill()
    texts = b"".join(record.value for number in range(PARTITIONS) for record in _records(settings, number))
    assert b'"kept"' in texts and b'"later"' in texts
    assert RECORDED.path(settings.home).exists()


def _records(settings: Settings, number: int) -> list[Any]:
    log = open_log(settings)
    try:
        return list(records(log, EVENTS, number))
    finally:
        log.close()
