"""Supervision under ``tally up``: services that crash are restarted, and those that keep crashing stop the whole."""

import os
import signal
import subprocess
from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.controls.budgets import set_budget
from ledger.home.presence import find_presence, read_presence
from ledger.log import fold_offset
from ledger.settings import Settings
from tally.exit import Failure
from tally.processes import service as services
from tally.processes.join import using
from tally.processes.service import Service
from tally.processes.supervisor import (
    LONG_RESTART_DELAYS_S,
    RESTART_DELAYS_S,
    STABLE_AFTER_S,
    SupervisedService,
    Supervisor,
    compute_restart_delay_s,
    count_crashes,
)
from tally.session import opened
from tests.kafka.cluster import kafka_jars
from tests.tally.conftest import UP, eventually, lines

Fake = Callable[..., Service]
Process = Callable[[str], subprocess.Popen[str]]


def pids(settings: Settings, name: str) -> list[int]:
    """List the process ids of a service, one for each start."""
    return [int(line.split()[1]) for line in lines(settings.home / "started") if line.startswith(f"{name} ")]


def looked(supervisor: Supervisor) -> bool:
    """Poll, for a condition that comes about only while somebody polls."""
    supervisor.poll()
    return True


def decide_delays(*ran_s: float, ingests: bool = True) -> list[float | None]:
    """Compute the delay after each of these crashes."""
    crashes, delays = 0, []
    for seconds in ran_s:
        crashes = count_crashes(crashes, seconds)
        delays.append(compute_restart_delay_s(crashes, ingests=ingests))
    return delays


@pytest.mark.parametrize(
    ("ran_s", "decided"),
    [
        ((0,), [0.5]),
        ((0, 0, 0, 0), [0.5, 2.0, 5.0, None]),
        ((3600, 0, 0, 0), [0.5, 2.0, 5.0, None]),
        ((0, 0, 0, 60, 59), [0.5, 2.0, 5.0, 0.5, 2.0]),
        ((61, 61, 61, 61, 61), [0.5, 0.5, 0.5, 0.5, 0.5]),
    ],
)
def test_when_a_service_is_started_again(ran_s: tuple[float, ...], decided: list[float | None]) -> None:
    assert decide_delays(*ran_s) == decided


def test_one_that_others_can_do_without_is_never_given_up() -> None:
    assert decide_delays(0, 0, 0, 0, 0, 0, 0, 60, ingests=False) == [
        *RESTART_DELAYS_S,
        *LONG_RESTART_DELAYS_S,
        LONG_RESTART_DELAYS_S[-1],
        RESTART_DELAYS_S[0],
    ]


@given(st.lists(st.floats(0, 2 * STABLE_AFTER_S)))
def test_it_is_given_up_exactly_after_more_deaths_in_a_row_than_are_borne(ran_s: list[float]) -> None:
    for number, decided in enumerate(decide_delays(*ran_s)):
        row = ran_s[max(0, number - len(RESTART_DELAYS_S) + 1) : number + 1]
        keeps_dying = number >= len(RESTART_DELAYS_S) and all(seconds < STABLE_AFTER_S for seconds in row)
        assert (decided is None) == keeps_dying


def test_a_service_that_dies_is_told_and_started_again_in_its_place(settings: Settings, process: Process) -> None:
    up = process(UP.format(dashboards="well", api="well"))
    eventually(
        lambda: find_presence(settings.home, "metrics") is not None and bool(find_presence(settings.home, "product"))
    )
    first = pids(settings, "streams")[0]
    os.kill(first, signal.SIGKILL)
    eventually(lambda: (find_presence(settings.home, "streams") or {"pid": first})["pid"] != first)
    assert [len(pids(settings, name)) for name in ("warehouse", "streams", "dashboards")] == [1, 2, 1]
    product = find_presence(settings.home, "product")
    assert product and product["restarts"] == {
        "warehouse": 0,
        "streams": 1,
        "api": 0,
        "alerts": 0,
        "dashboards": 0,
        "metrics": 0,
    }
    up.send_signal(signal.SIGINT)
    _, errors = up.communicate(timeout=60)
    assert up.returncode == 0
    assert "the service streams ended by SIGKILL" in errors and "starting the service streams again" in errors
    assert lines(settings.home / "stopped") == ["metrics", "dashboards", "alerts", "api", "streams", "warehouse"]
    assert (settings.home / "logs" / "streams.previous.log").exists()


def test_one_that_dies_once_does_not_stop_the_whole(settings: Settings, process: Process) -> None:
    up = process(UP.format(dashboards="dies once", api="well"))
    assert up.stderr
    errors: list[str] = []
    while not errors or "service dashboards ready again at http://nowhere" not in errors[-1]:
        assert up.poll() is None
        errors.append(up.stderr.readline())
    assert errors.count("  dashboards | something broke\n") == 1
    up.send_signal(signal.SIGINT)
    assert up.wait(60) == 0


def test_what_ingestion_needs_and_keeps_dying_stops_the_whole_with_its_reason(
    settings: Settings, process: Process
) -> None:
    up = process(UP.format(dashboards="well", api="dies"))
    _, errors = up.communicate(timeout=60)
    assert up.returncode == 1
    assert errors.count("the service api ended with exit code 3") == 4
    assert errors.splitlines()[-2:] == ["  api | something broke", "Stopped after 4 crashes in a row."]
    assert len(pids(settings, "api")) == 4
    assert lines(settings.home / "stopped") == ["metrics", "dashboards", "alerts", "streams", "warehouse"]


def test_one_that_needs_its_user_rests_and_the_others_go_on(settings: Settings, process: Process) -> None:
    up = process(UP.format(dashboards="gives up", api="well"))
    eventually(lambda: "dashboards" in ((find_presence(settings.home, "product") or {}).get("problems") or {}))
    product = find_presence(settings.home, "product")
    assert product and product["problems"] == {
        "dashboards": "the service dashboards stopped: the log is damaged: restore it"
    }
    assert up.poll() is None and find_presence(settings.home, "api") is not None
    up.send_signal(signal.SIGINT)
    _, errors = up.communicate(timeout=60)
    assert up.returncode == 0 and errors.count("the log is damaged: restore it\n") == 1
    assert "The other services continue" in errors


def test_one_that_rests_holds_up_no_other_and_comes_back_when_it_is_mended(
    settings: Settings, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tally.processes.supervisor.LONG_RESTART_DELAYS_S", (0.1,))
    monkeypatch.setattr("tally.processes.supervisor.RESTART_DELAYS_S", (0.0,))
    with (
        using(settings, fake("a", "refuses"), exclusive=True, may_rest=True) as first,
        using(settings, fake("b"), exclusive=True) as second,
    ):
        assert isinstance(first, services.Child) and isinstance(second, services.Child)
        supervisor = Supervisor(settings, [first, second])
        eventually(lambda: looked(supervisor) and "a" in (read_presence(settings.home, "product") or {})["problems"])
        os.kill(pids(settings, "b")[0], signal.SIGKILL)
        eventually(lambda: looked(supervisor) and len(pids(settings, "b")) == 2)
        first.service = fake("a")
        eventually(lambda: looked(supervisor) and find_presence(settings.home, "a") is not None)
        eventually(lambda: looked(supervisor) and not (read_presence(settings.home, "product") or {})["problems"])


def test_without_a_required_service_the_whole_stops(settings: Settings, fake: Fake) -> None:
    with using(settings, fake("api", "gives up")._replace(ingests=True), exclusive=True) as api:
        assert isinstance(api, services.Child)
        supervisor = Supervisor(settings, [api])
        with pytest.raises(Failure, match="the log is damaged: restore it"):
            eventually(lambda: looked(supervisor) and False)


@pytest.mark.parametrize("behavior", ["dies", "gives up"])
def test_what_the_rest_can_do_without_is_tried_again_while_the_rest_goes_on(
    settings: Settings, process: Process, behavior: str
) -> None:
    up = process(UP.format(dashboards=behavior, api="well"))
    eventually(lambda: len(pids(settings, "dashboards")) > 2 * len(RESTART_DELAYS_S))
    assert up.poll() is None
    assert [len(pids(settings, name)) for name in ("warehouse", "streams", "api", "metrics")] == [1, 1, 1, 1]
    up.send_signal(signal.SIGINT)
    _, errors = up.communicate(timeout=60)
    assert up.returncode == 0
    assert "The other services continue" in errors


def test_what_ends_to_be_started_again_does_not_count_as_dying(settings: Settings, process: Process) -> None:
    """As the warehouse does beside analysts' statements that do not end: the others wait no longer than its start."""
    up = process(UP.format(dashboards="starts anew", api="well"))
    eventually(lambda: len(pids(settings, "dashboards")) > 2 * len(RESTART_DELAYS_S))
    product = find_presence(settings.home, "product")
    assert up.poll() is None and product is not None and product["problems"] == {}
    up.send_signal(signal.SIGINT)
    _, errors = up.communicate(timeout=60)
    assert up.returncode == 0 and "The other services continue" not in errors


def test_what_ingestion_needs_and_its_user_must_mend_stops_the_whole_at_once(
    settings: Settings, process: Process
) -> None:
    up = process(UP.format(dashboards="well", api="gives up"))
    _, errors = up.communicate(timeout=60)
    assert up.returncode == 2
    assert errors.splitlines()[-1] == "the service api stopped: the log is damaged: restore it"
    assert len(pids(settings, "api")) == 1


@pytest.mark.parametrize("needs", [(), ("a",)])
def test_only_what_needs_a_service_waits_for_it(
    settings: Settings, fake: Fake, monkeypatch: pytest.MonkeyPatch, needs: tuple[str, ...]
) -> None:
    monkeypatch.setattr("tally.processes.supervisor.RESTART_DELAYS_S", (600.0,))
    with (
        using(settings, fake("a"), exclusive=True) as first,
        using(settings, fake("b")._replace(needs=needs), exclusive=True) as b,
    ):
        assert isinstance(first, services.Child) and isinstance(b, services.Child)
        supervisor = Supervisor(settings, [first, b])
        os.kill(pids(settings, "a")[0], signal.SIGKILL)
        eventually(lambda: not first.is_alive())
        supervisor.poll()
        monkeypatch.setattr("tally.processes.supervisor.RESTART_DELAYS_S", (0.0,))
        os.kill(pids(settings, "b")[0], signal.SIGKILL)
        eventually(lambda: not b.is_alive())
        for _ in range(3):
            supervisor.poll()
        assert len(pids(settings, "a")) == 1
        if needs:
            assert len(pids(settings, "b")) == 1
        else:
            eventually(lambda: looked(supervisor) and len(pids(settings, "b")) == 2)


def test_a_service_waits_for_those_before_it(settings: Settings, fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tally.processes.supervisor.RESTART_DELAYS_S", (0.0,))
    with using(settings, fake("a"), exclusive=True) as first, using(settings, fake("b"), exclusive=True) as second:
        assert isinstance(first, services.Child) and isinstance(second, services.Child)
        later = SupervisedService(second)
        os.kill(pids(settings, "b")[0], signal.SIGKILL)
        eventually(lambda: not second.is_alive())
        for _ in range(3):
            later.poll(may_start=False)
        assert not later.is_ready and len(pids(settings, "b")) == 1
        later.poll(may_start=True)
        eventually(lambda: later.poll(may_start=True) or later.is_ready)
        assert len(pids(settings, "b")) == 2


def test_some_are_stopped_for_a_moment_and_come_back(settings: Settings, fake: Fake) -> None:
    with (
        using(settings, fake("a"), exclusive=True) as first,
        using(settings, fake("b"), exclusive=True) as second,
        using(settings, fake("c"), exclusive=True) as third,
    ):
        children = [child for child in (first, second, third) if isinstance(child, services.Child)]
        supervisor = Supervisor(settings, children)
        with supervisor.suspended([children[0].service, children[1].service]):
            assert lines(settings.home / "stopped") == ["b", "a"]
            assert [child.is_alive() for child in children] == [False, False, True]
        assert [find_presence(settings.home, name) is not None for name in "abc"] == [True, True, True]
        supervisor.poll()
        assert [len(pids(settings, name)) for name in "abc"] == [2, 2, 1]


def test_who_joined_sees_the_service_again(settings: Settings, fake: Fake) -> None:
    with using(settings, fake("a"), exclusive=True) as owned:
        assert isinstance(owned, services.Child)
        supervisor = Supervisor(settings, [owned])
        with using(settings, fake("a")) as joined:
            os.kill(pids(settings, "a")[0], signal.SIGKILL)
            eventually(lambda: not owned.is_alive())
            joined.check()
            eventually(lambda: looked(supervisor) and len(pids(settings, "a")) == 2)
            eventually(lambda: find_presence(settings.home, "a") is not None)
            joined.check()


def test_who_joined_does_not_wait_for_ever(
    settings: Settings, fake: Fake, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = process("""
        from tally.processes.join import using
        with using(settings, service("a"), exclusive=True):
            print("owned", flush=True)
            time.sleep(600)
    """)
    assert owner.stdout and owner.stdout.readline() == "owned\n"  # announced is earlier
    with using(settings, fake("a")) as joined:
        os.kill(pids(settings, "a")[0], signal.SIGKILL)
        eventually(lambda: find_presence(settings.home, "a") is None)
        joined.check()
        monkeypatch.setattr(services, "RETURN_TIMEOUT_S", 0.0)
        with pytest.raises(Failure, match="which another process ran, has stopped"):
            eventually(lambda: joined.check() is not None)
        monkeypatch.setattr(services, "RETURN_TIMEOUT_S", 60.0)
        owner.kill()
        owner.wait()
        with pytest.raises(Failure, match="which another process ran, has stopped"):
            joined.check()


@pytest.mark.long
def test_the_own_broker_comes_back_and_the_folds_go_on(settings: Settings, fake: Fake) -> None:
    kafka_jars()
    config = Settings(home=settings.home, log="kafka://")
    with (
        using(config, services.KAFKA, exclusive=True) as broker,
        opened(config, new=True) as log,
        using(config, services.STREAMS, exclusive=True) as worker,
    ):
        assert isinstance(broker, services.Child) and isinstance(worker, services.Child)
        supervisor = Supervisor(config, [broker, worker])
        before = find_presence(config.home, "kafka")
        assert before
        os.kill(before["pid"], signal.SIGKILL)
        eventually(lambda: not broker.is_alive())
        eventually(
            lambda: looked(supervisor) and (find_presence(config.home, "kafka") or before)["pid"] != before["pid"]
        )
        after = find_presence(config.home, "kafka")
        assert after and after["url"] == before["url"]
        partition, offset, _ = set_budget(log, config, "acme", "team", "search", Decimal(1), "USD", 3600)
        assert offset == 1, "the price book before it is still there"
        eventually(lambda: looked(supervisor) and fold_offset(log, partition) == 2)
