"""Several commands in one home: joining, waiting for one another, and leaving."""

import subprocess
import time
from collections.abc import Callable

from ledger.home.locks import is_running
from ledger.settings import Settings
from tally.processes.join import needing
from tally.processes.service import Service
from tests.tally.conftest import lines

Fake = Callable[..., Service]
Process = Callable[[str], subprocess.Popen[str]]

UNTIL_END = """
    with needing(settings, [service(name) for name in {names!r}], exclusive={exclusive}) as running:
        print(*[type(service).__name__ for service in running], flush=True)
        while not (settings.home / {end_file!r}).exists():
            for service in running: service.check()
            time.sleep(0.02)
    print("left", flush=True)
"""


def command(process: Process, names: str, end_file: str, *, exclusive: bool = False) -> subprocess.Popen[str]:
    return process(UNTIL_END.format(names=names, end_file=end_file, exclusive=exclusive))


def read_line(child: subprocess.Popen[str]) -> str:
    assert child.stdout
    return child.stdout.readline().strip()


def await_message(child: subprocess.Popen[str], text: str) -> None:
    """Wait until the process says it, and fail where it ends without."""
    assert child.stderr
    assert any(text in line for line in child.stderr), f"it ended without saying {text!r}"


def test_the_first_waits_for_who_joined(settings: Settings, process: Process) -> None:
    first = command(process, "a", "end-first")
    assert read_line(first) == "Child"
    second = command(process, "a", "end-second")
    assert read_line(second) == "Joined"
    (settings.home / "end-first").touch()
    await_message(first, "waiting for another tally command that uses")
    assert first.poll() is None and is_running(settings.home, "a")
    (settings.home / "end-second").touch()
    assert read_line(second) == "left" and read_line(first) == "left"
    assert first.wait() == second.wait() == 0
    assert not is_running(settings.home, "a")


def test_two_that_start_at_once_share_the_services(settings: Settings, process: Process) -> None:
    commands = [command(process, "ab", "end") for _ in range(2)]
    assert {read_line(child) for child in commands} <= {"Child Child", "Joined Joined", "Child Joined", "Joined Child"}
    (settings.home / "end").touch()
    assert [child.wait(60) for child in commands] == [0, 0]
    assert sorted(line.split()[0] for line in lines(settings.home / "started")) == ["a", "b"]


def test_a_command_adds_the_services_that_another_does_not_need(settings: Settings, process: Process) -> None:
    importing = command(process, "b", "end-import")
    assert read_line(importing) == "Child"
    asking = command(process, "abc", "end-ask")
    assert read_line(asking) == "Child Joined Child"
    (settings.home / "end-import").touch()
    time.sleep(0.3)
    assert importing.poll() is None
    (settings.home / "end-ask").touch()
    assert [importing.wait(60), asking.wait(20)] == [0, 0]
    assert not any(is_running(settings.home, name) for name in "abc")


def test_up_waits_until_a_short_command_has_left(settings: Settings, process: Process) -> None:
    short = command(process, "b", "end-short")
    assert read_line(short) == "Child"
    up = command(process, "abc", "end-up", exclusive=True)
    await_message(up, "waiting for another tally command to finish with the service b")
    assert is_running(settings.home, "a")
    (settings.home / "end-short").touch()
    assert read_line(up) == "Child Child Child"
    assert short.wait(60) == 0
    joined = command(process, "abc", "end-joined")
    assert read_line(joined) == "Joined Joined Joined"
    (settings.home / "end-up").touch()
    assert up.wait(60) == 0
    _, errors = joined.communicate(timeout=60)
    assert joined.returncode == 1 and "which another process ran, has stopped" in errors


def test_a_failing_command_lets_the_joined_finish_too(settings: Settings, process: Process) -> None:
    first = process("""
        with needing(settings, [service("a")]):
            print("Child", flush=True)
            while not (settings.home / "end-first").exists(): time.sleep(0.02)
            raise ValueError("of its own")
    """)
    assert read_line(first) == "Child"
    second = command(process, "a", "end-second")
    assert read_line(second) == "Joined"
    (settings.home / "end-first").touch()
    time.sleep(0.5)
    assert is_running(settings.home, "a")
    (settings.home / "end-second").touch()
    assert second.wait(60) == 0
    assert "of its own" in first.communicate(timeout=60)[1]


def test_who_is_killed_leaves_room_for_the_next(settings: Settings, process: Process, fake: Fake) -> None:
    first = command(process, "a", "never")
    assert read_line(first) == "Child"
    first.kill()
    first.wait()
    with needing(settings, [fake("a")]) as running:
        for service in running:
            service.check()
    assert len(lines(settings.home / "started")) == 2
