"""A front of its own for each module of tests: the real engine, in a process, on a home that is thrown away."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from ledger.home.presence import find_presence
from ledger.settings import Settings
from warehouse.client import connect
from warehouse.migrate import migrate

SERVE = "from ledger.settings import Settings; from warehouse.embedded.server import serve; serve(Settings())"


class Front:
    """A warehouse that a test may stop, kill and start again."""

    def __init__(self, home: Path) -> None:
        self.settings = Settings(home=home)
        self.start()

    def start(self, code: str = SERVE) -> None:
        self.process = python(code, self.settings.home)
        self.facts: dict[str, Any] = {}
        while self.facts.get("pid") != self.process.pid:  # a killed one's announcement may still lie there
            assert self.process.poll() is None, "the front did not start"
            time.sleep(0.05)
            self.facts = find_presence(self.settings.home, "warehouse") or {}

    def client(self) -> Client:
        return connect(self.settings)

    @property
    def url(self) -> str:
        """By which it is reached as a server is."""
        return f"http://{self.facts['user']}:{self.facts['password']}@127.0.0.1:{self.facts['port']}"

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(60)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def python(code: str, home: Path, **environment: str) -> subprocess.Popen[str]:
    """A process of its own that runs this code on a home."""
    paths = os.pathsep.join(path for path in sys.path if path)
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env=os.environ | {"TALLY_HOME": str(home), "PYTHONPATH": paths} | environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )


def eventually(holds: Callable[[], bool]) -> None:
    while not holds():  # the test's own time limit ends a wait in vain
        time.sleep(0.05)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Front]]:
    """Start a front on a new home, as often as a test likes."""
    fronts: list[Front] = []

    def start_front() -> Front:
        fronts.append(Front(tmp_path_factory.mktemp("home")))
        return fronts[-1]

    yield start_front
    for front in fronts:
        if front.process.poll() is None:
            front.kill()


@pytest.fixture(scope="module")
def front(start: Callable[[], Front]) -> Front:
    """The module's front, with the schema."""
    started = start()
    migrate(started.client())
    return started


@pytest.fixture
def client(front: Front) -> Client:
    """A client of the module's front. The tables are empty."""
    asking = front.client()
    for table in ("events", "entries", "records", "decisions", "alerts"):
        asking.command(f"TRUNCATE TABLE tally.{table}")
    return asking
