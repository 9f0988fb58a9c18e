"""A home on a disk that is full, or that was made read-only: every command says so, nothing that was acknowledged is
lost, and with room all goes on. The disk is a real one, which takes the right to mount it."""

import json
from contextlib import closing
from pathlib import Path

import pytest

from ledger.errors import TallyError
from ledger.home.layout import FILES, RECORDED
from ledger.log import PARTITIONS, Record, records
from ledger.log.open import open_log
from ledger.log.topics import EVENTS
from ledger.settings import Settings
from tests.faults.conftest import Disk, MountDisk
from tests.faults.damage import build, paths, results
from tests.ingest.api.conftest import Served, call, lines
from tests.tally.conftest import tally


@pytest.fixture
def disk(mount_disk: MountDisk, tmp_path: Path) -> Disk:
    return mount_disk(tmp_path / "disk", "size=12m,mode=0700")


def read_events(settings: Settings) -> list[list[Record]]:
    """Return the records of each partition."""
    with closing(open_log(settings)) as log:
        return [list(records(log, EVENTS, number)) for number in range(PARTITIONS)]


def counts(settings: Settings) -> list[int]:
    return [len(stored) for stored in read_events(settings)]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["full", "read-only"])
def test_a_home_without_room_says_so_and_goes_on_with_it(disk: Disk, kind: str) -> None:
    settings = build(disk.folder / "home")
    before = counts(settings)
    if kind == "full":
        disk.fill()
    else:
        disk.remount("ro")
    outcomes = results(settings)
    if kind == "full":
        disk.free()
    else:
        disk.remount("rw")
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
    disk.remount("ro")
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
    texts = b"".join(record.value for stored in read_events(settings) for record in stored)
    assert b'"kept"' in texts and b'"later"' in texts
    assert RECORDED.path(settings.home).exists()
