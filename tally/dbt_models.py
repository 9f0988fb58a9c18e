"""The dbt models in the warehouse: built when they are new or changed."""

import hashlib
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ledger.errors import TallyError
from ledger.home.locks import locked
from ledger.settings import Settings
from tally.exit import Failure
from tally.processes.service import MODELS, Child
from tally.sql_client import ask
from warehouse.client import address

PROJECT = Path(__file__).parents[1] / "dbt"
STAMP = "analytics.tally_built"
"""A view that says which project the warehouse's models were built from: it goes where the models go."""


def ensure(settings: Settings) -> None:
    """Have the models of this project in the warehouse, which runs. Failure where they cannot be built."""
    with locked(settings.run / "models.lock"):
        if _built(settings) != digest():
            Child(settings, MODELS).finished()


def digest() -> str:
    """Names the project by its content."""
    said = hashlib.sha256()
    for path in sorted(PROJECT.rglob("*")):
        if path.is_file() and path.suffix in {".sql", ".yml", ".csv"}:
            said.update(f"{path.relative_to(PROJECT)}\0{path.stat().st_size}\0".encode())
            said.update(path.read_bytes())
    return said.hexdigest()


def build(settings: Settings, *, test: bool = False) -> None:
    """Make every model, which is a view: it takes no longer where more is stored. ``test`` also holds their tests
    against all that is. Failure names the nodes that failed."""
    from dbt.cli.main import dbtRunner

    os.environ |= _environment(settings)
    folder = settings.home.resolve() / "dbt"
    arguments = ["build" if test else "run", "--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)]
    arguments += [
        "--target-path",
        str(folder / "target"),
        "--log-path",
        str(folder / "logs"),
        "--no-use-colors",
    ]
    done = dbtRunner().invoke(arguments)
    if isinstance(done.exception, KeyboardInterrupt):
        raise done.exception
    if not done.success:
        raise Failure(f"dbt could not build the models: {_why(done)}")
    ask(settings, f"CREATE OR REPLACE VIEW {STAMP} AS SELECT '{digest()}' AS digest")


def _built(settings: Settings) -> str | None:
    try:
        return ask(settings, f"SELECT digest FROM {STAMP}").strip()
    except TallyError:  # no such view yet; whatever else is wrong the building says
        return None


def _environment(settings: Settings) -> dict[str, str]:
    where = address(settings)
    url = urlsplit(where.url)
    said = {"HOST": url.hostname or "", "PORT": str(url.port), "USER": where.user, "PASSWORD": where.password}
    return {f"TALLY_DBT_{name}": value for name, value in said.items()} | {"DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}


def _why(done: Any) -> str:
    failed = [
        f"{one.node.unique_id}: {' '.join((one.message or '').split())}"
        for one in getattr(done.result, "results", ())
        if one.status in ("error", "fail", "runtime error")
    ]
    return "; ".join(failed) or str(done.exception or "see the lines above")
