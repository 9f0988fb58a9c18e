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

from ledger.home.presence import announced
from ledger.settings import Settings
from warehouse.client import address

ROOT = Path(__file__).parents[2]
_WAREHOUSE = "from ledger.settings import Settings; from warehouse.embedded.server import serve; serve(Settings(), 0)"
_DASHBOARDS = "from ledger.settings import Settings; from dashboards.server import serve; serve(Settings())"


@contextmanager
def warehouse(home: Path) -> Iterator[Settings]:
    """A warehouse of its own process, with every model built."""
    settings = Settings(home=home)
    with _process([sys.executable, "-P", "-c", _WAREHOUSE], home):
        _until(lambda: address(settings))
        yield settings


@contextmanager
def dashboards(settings: Settings, **environment: str) -> Iterator[str]:
    """The app in a process of its own; its address."""
    with _process([sys.executable, "-P", "-c", _DASHBOARDS], settings.home, **environment):
        yield _announced(settings, "dashboards")


@contextmanager
def door(settings: Settings) -> Iterator[str]:
    """The HTTP door of the home in a process of its own; its address."""
    with _process([sys.executable, "-m", "tally", "api", "serve"], settings.home):
        yield _announced(settings, "api")


def build(settings: Settings, command: str = "build") -> subprocess.CompletedProcess[str]:
    """``dbt build`` as a user would run it; ``run`` leaves out the tests."""
    where = address(settings)
    url = urlsplit(where.url)
    said = {
        "TALLY_DBT_HOST": str(url.hostname), "TALLY_DBT_PORT": str(url.port),
        "TALLY_DBT_USER": where.user, "TALLY_DBT_PASSWORD": where.password,
    }  # fmt: skip
    folder = settings.home / "dbt"
    return subprocess.run(
        [
            Path(sys.executable).with_name("dbt"), command, "--project-dir", ROOT / "dbt", "--profiles-dir",
            ROOT / "dbt", "--target-path", folder / "target", "--log-path", folder / "logs", "--no-use-colors",
        ],
        env=os.environ | said, capture_output=True, text=True, check=False,
    )  # fmt: skip


@contextmanager
def _process(command: list[str], home: Path, **environment: str) -> Iterator[None]:
    paths = os.pathsep.join(filter(None, sys.path))
    served = subprocess.Popen(command, env={**os.environ, "TALLY_HOME": str(home), "PYTHONPATH": paths, **environment})
    try:
        yield
    finally:
        served.terminate()
        served.wait(20)


def _announced(settings: Settings, part: str) -> str:
    found: list[dict[str, Any]] = []

    def look() -> None:
        facts = announced(settings.home, part)
        assert facts is not None, f"{part} is not there"
        found.append(facts)

    _until(look)
    return str(found[0]["url"])


def _until(ready: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            ready()
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return
