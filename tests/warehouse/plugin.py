"""The fixture ``install_warehouse``, for every test (`tests/conftest.py` loads it).

An empty warehouse with its schema and its models costs ten seconds of processor time: most of them are dbt's. It is
made once for a whole run of pytest, also where several workers share that, and copied into the homes of tests. How the
product makes its own is proved by ``tests/dbt/test_models.py`` and ``tests/tally/test_end_to_end.py``.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ledger.home.locks import locked

if TYPE_CHECKING:  # every run of pytest loads this file
    from ledger.settings import Settings

InstallWarehouse = Callable[[Path], "Settings"]
_ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def install_warehouse(tmp_path_factory: pytest.TempPathFactory) -> InstallWarehouse:
    """Copy an empty warehouse with its schema and models into a home that has none. Return the home's settings."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "warehouse-template"
    with locked(folder / "making"):
        if not (folder / "warehouse").exists():
            _make_template(folder)

    def install(home: Path) -> "Settings":
        from ledger.settings import Settings

        shutil.copytree(folder / "warehouse", home / "warehouse", symlinks=True)
        return Settings(home=home)

    return install


def _make_template(folder: Path) -> None:
    """Build the models in a home of its own, as the command does for the first statement of `tally sql`."""
    from ledger.log.open import open_log
    from ledger.settings import Settings

    home = folder / "home"
    shutil.rmtree(home, ignore_errors=True)  # left by a worker that was killed
    open_log(Settings(home=home), new=True).close()
    result = subprocess.run(
        [sys.executable, "-m", "tally", "sql", "SELECT count() FROM analytics.fct_calls"], cwd=_ROOT,
        env=os.environ | {"TALLY_HOME": str(home), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if result.stdout != "0\n":
        pytest.fail(f"the warehouse for the tests was not made:\n{result.stdout}{result.stderr}")
    (home / "warehouse").rename(folder / "warehouse")
