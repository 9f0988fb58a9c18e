"""The dbt models in the warehouse, which are built when they are new or changed."""

import hashlib
import json
import os
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from audit.verify.models import STAMP, Models
from ledger.errors import TallyError
from ledger.home.files import write_atomically
from ledger.home.locks import locked
from ledger.settings import Settings
from tally.exit import Failure
from tally.processes.service import MODELS, Child
from tally.sql_client import run_statement
from warehouse import rollups
from warehouse.client import connect, find_address

PROJECT = Path(__file__).parents[1] / "dbt"
DEFINITIONS = Path("dbt", "definitions.json")
"""The file of a home with the models as dbt compiled them, and the hash of their project."""
STAMP_VIEW = f"{rollups.DATABASE}.{STAMP}"
"""A view with the hash of the project that the models were built from: it moves with the models."""


def ensure_models(settings: Settings) -> None:
    """Build the models of this project in the running warehouse, unless they are current. Failure where that fails."""
    with locked(settings.run / "models.lock"):
        if _read_stamp(settings) != hash_project():
            Child(settings, MODELS).wait()


def are_built(settings: Settings) -> bool:
    """Tell whether the running warehouse has models of any release."""
    tables = run_statement(settings, f"SELECT count() FROM system.tables WHERE database = '{rollups.DATABASE}'")
    return int(tables) > 0


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
    with locked(settings.run / rollups.LOCK):
        result = _run_dbt(settings, "build the models", "run")
        rollups.build_rollups(connect(settings))
        if test:
            _run_dbt(settings, "test the models", "test")
    _keep_definitions(settings, result)
    run_statement(settings, f"CREATE OR REPLACE VIEW {STAMP_VIEW} AS SELECT '{hash_project()}' AS digest")


def build_docs(settings: Settings) -> Path:
    """Build the documentation of the models as one HTML file, which loads nothing from elsewhere, and return its path.
    Failure says why dbt could not."""
    _run_dbt(settings, "build the documentation", "docs", "generate", "--static")
    return _find_folder(settings) / "target" / "static_index.html"


def _run_dbt(settings: Settings, purpose: str, *command: str) -> Any:
    """Run a command of dbt in this process, and return its result. Failure names the purpose, and the nodes that
    failed."""
    from dbt.cli.main import dbtRunner

    os.environ |= _environment(settings)
    folder = _find_folder(settings)
    arguments = [*command, "--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)]
    arguments += ["--target-path", str(folder / "target"), "--log-path", str(folder / "logs"), "--no-use-colors"]
    result = dbtRunner().invoke(arguments)
    if isinstance(result.exception, KeyboardInterrupt):
        raise result.exception
    if not result.success:
        raise Failure(f"dbt could not {purpose}: {_describe_failure(result)}")
    return result


def _find_folder(settings: Settings) -> Path:
    return settings.home.resolve() / "dbt"


def read_models(settings: Settings) -> Models:
    """Return the models as this release defines them: as dbt compiled them for this home, or compiles them now."""
    path = settings.home / DEFINITIONS
    try:
        content = json.loads(path.read_text())
        if content["project"] == hash_project():
            return Models(rollups.DATABASE, dict(content["views"]), tuple(content["tables"]))
    except (OSError, ValueError, KeyError, TypeError):
        pass  # it is made anew
    return _compile_models(settings)


def _compile_models(settings: Settings) -> Models:
    """Compile the models without a warehouse. Failure where that fails."""
    options = ("--quiet", "--no-introspect", "--no-populate-cache")
    with redirect_stdout(StringIO()):
        result = _run_dbt(settings, "compile the models", "compile", *options)
    return _keep_definitions(settings, result)


def _keep_definitions(settings: Settings, result: Any) -> Models:
    nodes = [run.node for run in result.result if run.node.resource_type == "model"]
    views = {node.name: node.compiled_code for node in nodes if node.config.materialized == "view"}
    tables = [node.name for node in nodes if node.config.materialized not in ("view", "ephemeral")]
    models = Models(rollups.DATABASE, views, tuple(tables))
    content = {"project": hash_project(), "views": models.views, "tables": models.tables}
    write_atomically(settings.home / DEFINITIONS, json.dumps(content))
    return models


def _read_stamp(settings: Settings) -> str | None:
    try:
        return run_statement(settings, f"SELECT digest FROM {STAMP_VIEW}").strip()
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
