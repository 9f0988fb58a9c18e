"""``tally up``: order, Ctrl-C, and a home in use, with services in place of the real ones."""

import signal
import subprocess
from collections.abc import Callable

import pytest

from ledger.home.locks import is_running
from ledger.home.presence import find_presence
from ledger.settings import Settings
from tests.tally.conftest import UP, alive, eventually, lines

Process = Callable[[str], subprocess.Popen[str]]


def ready(settings: Settings) -> None:
    eventually(lambda: find_presence(settings.home, "metrics") is not None)


def test_ctrl_c_stops_all_in_the_reverse_order_and_is_fine(settings: Settings, process: Process) -> None:
    up = process(UP.format(dashboards="well", api="well"))
    assert up.stdout
    while "http://nowhere" not in up.stdout.readline():
        assert up.poll() is None
    up.send_signal(signal.SIGINT)
    _, errors = up.communicate(timeout=60)
    assert (up.returncode, errors.splitlines()[-1]) == (0, "stopped")
    assert lines(settings.home / "stopped") == ["metrics", "dashboards", "alerts", "api", "streams", "warehouse"]


def test_sigterm_is_fine_too(settings: Settings, process: Process) -> None:
    up = process(UP.format(dashboards="well", api="well"))
    ready(settings)
    up.send_signal(signal.SIGTERM)
    assert up.wait(60) == 0
    assert not is_running(settings.home, "warehouse")


def test_a_service_of_ingestion_that_refuses_to_start_stops_the_whole_with_its_sentence(
    settings: Settings, process: Process
) -> None:
    up = process(UP.format(dashboards="well", api="refuses"))
    _, errors = up.communicate(timeout=60)
    assert up.returncode == 2
    assert errors.splitlines()[-1] == "the service api did not start: TALLY_PORT 1234 is taken: choose another"


@pytest.mark.parametrize("behavior", ["refuses", "dies at once"])
def test_what_others_can_do_without_and_does_not_start_rests(
    settings: Settings, process: Process, behavior: str
) -> None:
    """At the first start too: as a warehouse or pages whose files are damaged."""
    up = process(UP.format(dashboards=behavior, api="well"))
    eventually(lambda: "dashboards" in ((find_presence(settings.home, "product") or {}).get("problems") or {}))
    assert up.poll() is None and find_presence(settings.home, "api") is not None
    up.send_signal(signal.SIGINT)
    _, errors = up.communicate(timeout=60)
    assert up.returncode == 0 and "The other services continue." in errors


def test_a_home_in_use_is_told(settings: Settings, process: Process) -> None:
    first = process(UP.format(dashboards="well", api="well"))
    ready(settings)
    second = process(UP.format(dashboards="well", api="well"))
    _, errors = second.communicate(timeout=60)
    assert second.returncode == 2
    assert "already runs in another process" in errors and "TALLY_HOME" in errors
    assert first.poll() is None


def test_kill_9_of_up_leaves_nothing_and_it_starts_again_at_once(settings: Settings, process: Process) -> None:
    first = process(UP.format(dashboards="well", api="well"))
    ready(settings)
    pids = [int(line.split()[1]) for line in lines(settings.home / "started")]
    first.kill()
    first.wait()
    second = process(UP.format(dashboards="well", api="well"))
    eventually(lambda: len(lines(settings.home / "started")) == 8)
    assert not any(alive(pid) for pid in pids)
    ready(settings)
    second.send_signal(signal.SIGINT)
    assert second.wait(60) == 0
