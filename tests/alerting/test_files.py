"""The files of the alerts, damaged in every way: each is named with its way out, and ends neither part nor product."""

import json
import os
import resource
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest

from alerting import delivery_store as storage
from alerting import routes
from alerting.delivery_store import (
    FILE,
    MAX_SET_ASIDE_FILES,
    RETENTION_DAYS,
    Deliveries,
    DeliveriesDamaged,
    DeliveriesUnavailable,
    set_aside,
    set_aside_files,
)
from alerting.messages import Message
from alerting.problems import find_troubles
from alerting.worker import Deliverer
from ledger.errors import TallyError
from ledger.home.locks import service_lock
from ledger.home.presence import find_any_presence
from ledger.log.open import open_log
from tests.alerting.conftest import Receiver, Telling
from tests.tally.conftest import eventually, invoke, tally

DAY_MS = 86_400_000
NOBODY = 65_534


def message(id: str, organization: str = "acme") -> Message:
    return Message(id, organization, "test", 0, {"text": "x" * 500})


def fill(home: Path, count: int = 200) -> None:
    with closing(Deliveries(home)) as deliveries, deliveries.taking(0, {"tally.alerts": (1, 1)}):
        for number in range(count):
            deliveries.put(message(f"test-{number}"), "webhook-of-acme", 0)


def truncate(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def damage_page(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for page in range(2, len(content) // 4096):
        content[page * 4096 : page * 4096 + 100] = b"\xff" * 100
    path.write_bytes(content)


def make_other_tables(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as db:
        db.executescript("CREATE TABLE deliveries (a)")


DATABASE: dict[str, Callable[[Path], object]] = {
    "garbage": lambda path: path.write_bytes(os.urandom(5_000)),
    "text": lambda path: path.write_text("[]"),
    "empty": lambda path: path.write_bytes(b""),
    "truncated": truncate,
    "damaged pages": damage_page,
    "other tables": make_other_tables,
}


@pytest.mark.parametrize("damage", DATABASE.values(), ids=DATABASE)
def test_damaged_deliveries_are_named_and_replaced(damage: Callable[[Path], object], tmp_path: Path) -> None:
    fill(tmp_path)
    damage(tmp_path / FILE)
    with (
        pytest.raises(DeliveriesDamaged, match=r"deliveries\.db is damaged \(.*`tally alerts deliver` set it aside"),
        closing(Deliveries(tmp_path)) as deliveries,
    ):
        deliveries.check()
    aside = set_aside(tmp_path)
    fill(tmp_path, 1)
    with closing(Deliveries(tmp_path, writes=False)) as deliveries:
        assert deliveries.count_by_state() == {"pending": 1}
    (trouble,) = find_troubles(tmp_path)
    assert str(aside) in trouble and "was not sent" in trouble and "delete it" in trouble


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE deliveries SET data = x'ff'", "UPDATE deliveries SET data = 'no JSON'",
        "UPDATE deliveries SET data = '[]'", "UPDATE deliveries SET attempts = 'many'",
        "UPDATE deliveries SET type = CAST(x'ff' AS TEXT)", "UPDATE positions SET offset = 'far'",
    ],
)  # fmt: skip
def test_values_that_we_do_not_write_are_damage(statement: str, tmp_path: Path) -> None:
    fill(tmp_path)
    with closing(sqlite3.connect(tmp_path / FILE)) as db, db:
        db.execute(statement)
    with closing(Deliveries(tmp_path)) as deliveries, pytest.raises(DeliveriesDamaged):
        deliveries.position("tally.alerts", 0)
        deliveries.list_due("webhook-of-acme", 1, 10)


def test_a_disk_that_damages_again_and_again_is_named(tmp_path: Path) -> None:
    for number in range(MAX_SET_ASIDE_FILES):
        (tmp_path / f"{FILE}.damaged-{number}").touch()
    with pytest.raises(DeliveriesUnavailable, match=r"check the disk, then delete"):
        set_aside(tmp_path)


@contextmanager
def another_user(home: Path) -> Iterator[None]:
    """Be a user who is not the files' owner, where we are root: root may do anything."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


@pytest.fixture
def open_home() -> Iterator[Path]:
    """A home that another user may come to, which pytest's folder is not."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        fill(home)
        routes.set_webhook(home, "acme", "http://host/x", "webhook")
        home.chmod(0o755)
        (home / "run").chmod(0o777)
        for path in (home / "run").iterdir():
            path.chmod(0o666)
        yield home
        home.chmod(0o700)


@pytest.mark.parametrize("mode", [0o000, 0o444])
def test_files_of_another_owner_are_named(open_home: Path, mode: int) -> None:
    """Not to be read, or only to be read."""
    for path in (open_home / FILE, open_home / "routes.json"):
        path.chmod(mode)
    open_home.chmod(0o555)
    with another_user(open_home):
        with (
            pytest.raises(DeliveriesUnavailable, match=r"cannot use .*deliveries\.db .*chown.*none is lost"),
            closing(Deliveries(open_home)) as deliveries,
        ):
            deliveries.check()
        with pytest.raises(TallyError, match=r"cannot (use|read) .*routes\.json .*(give|let) the user"):
            routes.set_webhook(open_home, "beta", "http://host/x", "webhook")
        if mode == 0:
            assert len(find_troubles(open_home)) == 2


ENTRY = (
    b'[{"id":"r","organization":"a","channel":"slack","address":"http://h/SECRET","secret":"","since_ms":1,"team":null,'
    b'"severity":"warning","after_s":null,"gone":null}]'
)
WEBHOOKS = {
    "garbage": os.urandom(500),
    "truncated": b'[{"organization": "acme", "address": "http://ho',
    "empty": b"",
    "an object": b"{}",
    "a list of numbers": b"[1, 2]",
    "fields that lack": b'[{"organization": "acme"}]',
    "fields of other types": ENTRY.replace(b'"a"', b"1"),
    "no channel": ENTRY.replace(b'"slack"', b'"pigeon"'),
    "no address": ENTRY.replace(b"http://h/", b""),
    "no secret": ENTRY.replace(b'"secret":""', b'"secret":"\\u00e4SECRET"'),
    "a depth": b"[" * 100_000,
}


@pytest.mark.parametrize("content", WEBHOOKS.values(), ids=WEBHOOKS)
def test_damaged_webhooks_are_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "routes.json"
    path.write_bytes(content)
    for act in (
        lambda: routes.list_routes(tmp_path),
        lambda: routes.set_webhook(tmp_path, "acme", "http://host/x", "slack"),
        lambda: routes.remove_webhook(tmp_path, "acme"),
        lambda: routes.get_webhook(tmp_path, "acme"),
    ):
        with pytest.raises(TallyError, match=r"routes\.json is damaged \(.*restore it from a backup") as caught:
            act()
        assert "SECRET" not in str(caught.value)
    (trouble,) = find_troubles(tmp_path)
    assert "routes.json" in trouble and path.read_bytes() == content


def test_webhooks_that_cannot_be_written_stand_as_they_were(tmp_path: Path) -> None:
    routes.set_webhook(tmp_path, "acme", "http://host/x", "webhook")
    before = (tmp_path / "routes.json").read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        with pytest.raises(TallyError, match=r"cannot write .*routes\.json"):
            routes.set_webhook(tmp_path, "beta", "http://host/x", "webhook")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (tmp_path / "routes.json").read_bytes() == before


def sessions(receiver: Receiver) -> list[str]:
    return [said["data"]["session"] for said in receiver.messages("runaway.raised")]


def status(telling: Telling) -> list[str]:
    done = invoke("status", "--json", TALLY_HOME=str(telling.settings.home))
    assert done.returncode == 0, done.stderr
    troubles: list[str] = json.loads(done.stdout)["problems"]
    return troubles


def test_damaged_webhooks_do_not_end_the_deliverer(embedded: Telling, receiver: Receiver) -> None:
    """Those that it knows are told on; where it knows none it waits, and what was raised meanwhile is told then."""
    embedded.hook(receiver.url)
    embedded.start("streams")
    embedded.start("alerts")
    embedded.loops("s-1")
    eventually(lambda: sessions(receiver) == ["s-1"])
    path = embedded.settings.home / "routes.json"
    content = path.read_bytes()
    path.write_bytes(content[:50])
    embedded.loops("s-2")
    eventually(lambda: sessions(receiver) == ["s-1", "s-2"])
    assert any("routes.json is damaged" in trouble for trouble in status(embedded))
    listed = invoke("alerts", "webhooks", TALLY_HOME=str(embedded.settings.home))
    assert listed.returncode == 2 and "is damaged (it is not JSON)" in listed.stderr
    embedded.running["alerts"].kill()
    embedded.running["alerts"].wait()
    embedded.start("alerts")
    embedded.loops("s-3")
    time.sleep(1)
    assert embedded.running["alerts"].poll() is None and find_any_presence(embedded.settings, "alerts")
    path.write_bytes(content)
    eventually(lambda: sessions(receiver) == ["s-1", "s-2", "s-3"])
    eventually(lambda: embedded.states() == {"delivered": 3})
    assert status(embedded) == []


def test_a_damaged_address_of_the_dashboards_costs_the_link_alone(embedded: Telling, receiver: Receiver) -> None:
    embedded.hook(receiver.url)
    embedded.start("streams")
    embedded.start("alerts")
    with service_lock(embedded.settings.home, "dashboards"):
        (embedded.settings.home / "run" / "dashboards.json").write_text("[]")
        embedded.loops("s-1")
        eventually(lambda: sessions(receiver) == ["s-1"])
        assert embedded.running["alerts"].poll() is None


def test_damaged_deliveries_do_not_end_the_deliverer(embedded: Telling, receiver: Receiver) -> None:
    """They are set aside, what follows is told, and people learn of it; and so again."""
    embedded.hook(receiver.url)
    path = embedded.settings.home / FILE
    path.write_bytes(b"garbage" * 1_000)
    home = str(embedded.settings.home)
    shown = tally("alerts", "deliveries", TALLY_HOME=home)
    assert shown.returncode == 2 and f"{FILE} is damaged (file is not a database)" in shown.stderr
    assert any("is damaged" in trouble for trouble in status(embedded))
    embedded.start("streams")
    embedded.start("alerts")
    embedded.loops("s-1")
    eventually(lambda: sessions(receiver) == ["s-1"])
    assert len(set_aside_files(embedded.settings.home)) == 1
    time.sleep(1)  # another second, another name
    embedded.running["alerts"].terminate()
    embedded.running["alerts"].wait()
    damage_page(path)
    embedded.start("alerts")
    embedded.loops("s-2")
    eventually(lambda: "s-2" in sessions(receiver))
    assert embedded.running["alerts"].poll() is None
    assert [FILE in trouble and "set aside" in trouble for trouble in status(embedded)] == [True, True]


def test_a_full_disk_does_not_end_the_deliverer(embedded: Telling, receiver: Receiver) -> None:
    """Nothing can be written: it says so, and tells when there is room again."""
    embedded.hook(receiver.url)
    embedded.start("streams")
    embedded.start("alerts")
    process = embedded.running["alerts"]
    eventually(lambda: find_any_presence(embedded.settings, "alerts") is not None)
    unlimited = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (1_000, unlimited[1]))
    embedded.loops("s-1")
    eventually(lambda: any("cannot use" in trouble and FILE in trouble for trouble in status(embedded)))
    assert process.poll() is None and sessions(receiver) == []
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, unlimited)
    eventually(lambda: sessions(receiver) == ["s-1"])
    eventually(lambda: embedded.states() == {"delivered": 1})
    assert status(embedded) == []


def test_what_was_sent_and_cannot_be_recorded_is_not_sent_again(embedded: Telling, receiver: Receiver) -> None:
    embedded.hook(receiver.url)
    with closing(open_log(embedded.settings)) as log, closing(Deliveries(embedded.settings.home)) as deliveries:
        with deliveries.taking(0, {"tally.alerts": (1, 1)}):
            for id in ("test-1", "test-2"):
                deliveries.put(message(id), "webhook-of-acme", 0)
        deliverer = Deliverer(embedded.settings, log, deliveries)
        try:
            with patch.object(storage.Deliveries, "record_attempt", side_effect=DeliveriesUnavailable("full")):
                deliverer.step()
                eventually(lambda: len(receiver.taken) == 1)

                def fails() -> bool:
                    try:
                        deliverer.step()
                    except DeliveriesUnavailable:
                        return True
                    return False

                eventually(fails)
                assert [fails() for _ in range(5)] == [True] * 5
            assert len(receiver.taken) == 1

            def delivered() -> bool:
                deliverer.step()
                return deliveries.count_by_state() == {"delivered": 2}

            eventually(delivered)
            assert len(receiver.taken) == 2
        finally:
            deliverer.close()


def test_what_ended_long_ago_is_pruned_and_still_counted(tmp_path: Path) -> None:
    fill(tmp_path, 2_500)
    now_ms = RETENTION_DAYS * DAY_MS + 10
    with closing(Deliveries(tmp_path)) as deliveries:
        for number in range(2_400):
            state = "delivered" if number % 2 else "given up"
            deliveries._db.execute(
                "UPDATE deliveries SET state = ?, due_ms = NULL, ended_ms = ? WHERE id = ?",
                (state, 5 if number < 2_300 else now_ms, f"test-{number}"),
            )
        before = deliveries.count_by_state()
        pruned: list[int] = []
        while count := deliveries.prune(now_ms):
            pruned.append(count)
        assert sum(pruned) == 2_300 and max(pruned) == storage.MAX_PRUNED_DELIVERIES
        assert deliveries.count_by_state() == before == {"delivered": 1_200, "given up": 1_200, "pending": 100}
        assert len(deliveries.list_newest(None, 10_000)) == 200
        assert len(deliveries.list_due("webhook-of-acme", 1, 1_000)) == 100


def test_asking_makes_nothing(tmp_path: Path) -> None:
    """A command that reads changes nothing: without a home, none is made."""
    home = tmp_path / "none"
    for arguments in (["alerts", "deliveries"], ["alerts", "webhooks"]):
        assert invoke(*arguments, TALLY_HOME=str(home)).returncode == 0
    assert not home.exists()
