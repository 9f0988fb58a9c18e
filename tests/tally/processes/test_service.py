"""Services start, fail, crash and end as they should, and none outlives its parent."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ledger.home import disk
from ledger.home.locks import is_running
from ledger.home.presence import announce, find_presence
from ledger.settings import Settings
from tally.exit import Failure
from tally.processes import service as services
from tally.processes.join import needing, using
from tally.processes.service import Child, Service
from tests.tally.conftest import alive, eventually, lines

Fake = Callable[..., Service]
Process = Callable[[str], subprocess.Popen[str]]


def read_pids(home: Path) -> dict[str, int]:
    return {name: int(pid) for name, pid in (line.split() for line in lines(home / "started"))}


def test_services_start_in_order_and_stop_in_the_reverse(settings: Settings, fake: Fake) -> None:
    with needing(settings, [fake("a"), fake("b")]):
        assert list(read_pids(settings.home)) == ["a", "b"]
        assert find_presence(settings.home, "b") is not None
    assert lines(settings.home / "stopped") == ["b", "a"]
    assert not is_running(settings.home, "a")


def test_a_service_that_refuses_says_why_in_its_own_sentence(settings: Settings, fake: Fake) -> None:
    with pytest.raises(Failure) as refused, needing(settings, [fake("a"), fake("b", "refuses")]):
        pytest.fail("it must not start")
    assert str(refused.value) == "the service b did not start: TALLY_PORT 1234 is taken: choose another"
    assert refused.value.exit_code == 2
    assert lines(settings.home / "stopped") == ["a"]


def test_a_service_that_dies_is_noticed_with_its_last_lines(settings: Settings, fake: Fake) -> None:
    with pytest.raises(Failure) as died, using(settings, fake("a", "dies")) as service:
        while True:
            service.check()
    assert "ended with exit code 3" in str(died.value)
    assert "\n  a | first line\n  a | something broke" in str(died.value)
    assert died.value.exit_code == 1


def test_a_service_that_dies_of_a_full_disk_is_told_so(
    settings: Settings, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "MIN_FREE_BYTES", 1 << 62)
    with pytest.raises(Failure) as died, using(settings, fake("a", "dies")) as service:
        while True:
            service.check()
    assert str(died.value) == f"the service a stopped: the disk of {settings.home} is full; free some space"
    assert died.value.exit_code == 2


def test_a_service_that_was_killed_names_the_signal(settings: Settings, fake: Fake) -> None:
    with pytest.raises(Failure, match="by SIGKILL"), using(settings, fake("a")) as service:
        os.kill(read_pids(settings.home)["a"], signal.SIGKILL)
        while True:
            service.check()


def test_a_service_that_does_not_end_is_killed(settings: Settings, fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "STOP_TIMEOUT_S", 0.3)
    with using(settings, fake("a", "deaf")):
        pass
    assert not alive(read_pids(settings.home)["a"])


def test_what_a_killed_predecessor_announced_is_not_believed(settings: Settings, fake: Fake) -> None:
    announce(settings.home, "a", url="stale")
    child = Child(settings, fake("a"))
    try:
        assert child.wait_until_ready()["url"] == "http://nowhere"
    finally:
        child.stop()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP, signal.SIGTERM])
def test_no_child_outlives_its_parent(settings: Settings, process: Process, number: int) -> None:
    parent = process("with needing(settings, [service('a'), service('b', 'deaf')]): time.sleep(60)")
    eventually(lambda: find_presence(settings.home, "b") is not None)
    children = read_pids(settings.home)
    parent.send_signal(number)
    eventually(lambda: not any(alive(pid) for pid in children.values()))
    with needing(settings, []):
        assert not is_running(settings.home, "a")
