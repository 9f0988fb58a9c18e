"""A warehouse in a process of its own, and dbt over it, for tests."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ledger.errors import TallyError
from ledger.home.presence import find_presence
from ledger.settings import Settings
from warehouse.client import find_address

ROOT = Path(__file__).parents[2]
_WAREHOUSE = "from ledger.settings import Settings; from warehouse.embedded.server import serve; serve(Settings(), 0)"
_DASHBOARDS = "from ledger.settings import Settings; from dashboards.server import serve; serve(Settings())"


@contextmanager
def warehouse(home: Path) -> Iterator[Settings]:
    """Run a home's warehouse as a process of its own."""
    settings = Settings(home=home)
    with _process([sys.executable, "-P", "-c", _WAREHOUSE], home):
        _await(lambda: find_address(settings))
        yield settings


@contextmanager
def dashboards(settings: Settings, **environment: str) -> Iterator[str]:
    """The app in a process of its own; its address."""
    with _process([sys.executable, "-P", "-c", _DASHBOARDS], settings.home, **environment):
        yield _await_announcement(settings, "dashboards")


@contextmanager
def running_api(settings: Settings) -> Iterator[str]:
    """Run the home's HTTP API as a process, and yield its address."""
    with _process([sys.executable, "-m", "tally", "api", "serve"], settings.home):
        yield _await_announcement(settings, "api")


def build(settings: Settings, command: str = "build") -> subprocess.CompletedProcess[str]:
    """``dbt build`` as a user would run it; ``run`` leaves out the tests."""
    warehouse_address = find_address(settings)
    url = urlsplit(warehouse_address.url)
    variables = {
        "TALLY_DBT_HOST": str(url.hostname), "TALLY_DBT_PORT": str(url.port),
        "TALLY_DBT_USER": warehouse_address.user, "TALLY_DBT_PASSWORD": warehouse_address.password,
    }  # fmt: skip
    folder = settings.home / "dbt"
    return subprocess.run(
        [
            Path(sys.executable).with_name("dbt"), command, "--project-dir", ROOT / "dbt", "--profiles-dir",
            ROOT / "dbt", "--target-path", folder / "target", "--log-path", folder / "logs", "--no-use-colors",
        ],
        env=os.environ | variables, capture_output=True, text=True, check=False,
    )  # fmt: skip


@contextmanager
def _process(command: list[str], home: Path, **environment: str) -> Iterator[None]:
    paths = os.pathsep.join(filter(None, sys.path))
    process = subprocess.Popen(command, env={**os.environ, "TALLY_HOME": str(home), "PYTHONPATH": paths, **environment})
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)


def _await_announcement(settings: Settings, service: str) -> str:
    announcements: list[dict[str, Any]] = []

    def look() -> None:
        facts = find_presence(settings.home, service)
        assert facts is not None, f"{service} is not there"
        announcements.append(facts)

    _await(look)
    return str(announcements[0]["url"])


def _await(ready: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            ready()
        except (AssertionError, TallyError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return
