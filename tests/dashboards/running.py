"""A warehouse in a process of its own, and dbt over it, for tests."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from ledger.settings import Settings
from warehouse.client import address

ROOT = Path(__file__).parents[2]
_SERVE = "from ledger.settings import Settings; from warehouse.server import serve; serve(Settings(), 0)"


@contextmanager
def warehouse(home: Path) -> Iterator[Settings]:
    """A warehouse of its own process, with every model built."""
    settings = Settings(home=home)
    environment = {**os.environ, "TALLY_HOME": str(home), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    served = subprocess.Popen([sys.executable, "-P", "-c", _SERVE], env=environment)
    try:
        _until(lambda: address(settings))
        yield settings
    finally:
        served.terminate()
        served.wait(20)


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
