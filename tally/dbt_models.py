"""The dbt models in the warehouse, which are built when they are new or changed."""

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
from tally.sql_client import run_statement
from warehouse import rollups
from warehouse.client import find_address

PROJECT = Path(__file__).parents[1] / "dbt"
STAMP = "analytics.tally_built"
"""A view with the hash of the project that the models were built from: it moves with the models."""


def ensure_models(settings: Settings) -> None:
    """Build the models of this project in the running warehouse, unless they are current. Failure where that fails."""
    with locked(settings.run / "models.lock"):
        if _read_stamp(settings) != hash_project():
            Child(settings, MODELS).wait()


def hash_project() -> str:
    """Return the SHA-256 of the project's files."""
    hasher = hashlib.sha256()
    for path in sorted(PROJECT.rglob("*")):
        if path.is_file() and path.suffix in {".sql", ".yml", ".csv", ".md"}:
            hasher.update(f"{path.relative_to(PROJECT)}\0{path.stat().st_size}\0".encode())
            hasher.update(path.read_bytes())
    return hasher.hexdigest()


def build_models(settings: Settings, *, test: bool = False) -> None:
    """Build every model: views in constant time, and rollups up to what is stored. ``test`` also runs the tests of the
    models on all stored data. Failure names the nodes that failed."""
    _run_dbt(settings, "models", "build" if test else "run")
    run_statement(settings, f"CREATE OR REPLACE VIEW {STAMP} AS SELECT '{hash_project()}' AS digest")


def build_docs(settings: Settings) -> Path:
    """Build the documentation of the models as one HTML file, which loads nothing from elsewhere, and return its path.
    Failure says why dbt could not."""
    target = _run_dbt(settings, "documentation", "docs", "generate", "--static")
    return target / "static_index.html"


def _run_dbt(settings: Settings, product: str, *command: str) -> Path:
    """Run a command of dbt in this process, and return the folder of what it writes. Failure names ``product``, which
    could not be built, and the nodes that failed."""
    from dbt.cli.main import dbtRunner

    os.environ |= _environment(settings)
    folder = settings.home.resolve() / "dbt"
    arguments = [*command, "--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)]
    arguments += ["--target-path", str(folder / "target"), "--log-path", str(folder / "logs"), "--no-use-colors"]
    with locked(settings.run / rollups.LOCK):
        result = dbtRunner().invoke(arguments)
    if isinstance(result.exception, KeyboardInterrupt):
        raise result.exception
    if not result.success:
        raise Failure(f"dbt could not build the {product}: {_describe_failure(result)}")
    return folder / "target"


def _read_stamp(settings: Settings) -> str | None:
    try:
        return run_statement(settings, f"SELECT digest FROM {STAMP}").strip()
    except TallyError:  # no such view yet; any other problem shows in the build
        return None


def _environment(settings: Settings) -> dict[str, str]:
    server = find_address(settings)
    url = urlsplit(server.url)
    variables = {"HOST": url.hostname or "", "PORT": str(url.port), "USER": server.user, "PASSWORD": server.password}
    return {f"TALLY_DBT_{name}": value for name, value in variables.items()} | {
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"
    }


def _describe_failure(result: Any) -> str:
    failed = [
        f"{node_result.node.unique_id}: {' '.join((node_result.message or '').split())}"
        for node_result in getattr(result.result, "results", ())
        if node_result.status in ("error", "fail", "runtime error")
    ]
    return "; ".join(failed) or str(result.exception or "see the lines above")
