"""Tiny services in place of the real ones, and `tally`-like processes of our own."""

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import pytest
from typer.testing import CliRunner

from ledger.settings import Settings
from tally.processes.service import Service

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "tally"]
_VARIABLES = {"PYTHONPATH": f"{ROOT / 'sdk'}{os.pathsep}{ROOT}", "COLUMNS": "120", "NO_COLOR": "1"}


def home_environment(variables: dict[str, str]) -> dict[str, str]:
    return os.environ | _VARIABLES | variables


def invoke(*arguments: str, stdin: str | None = None, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the command in this process, which saves its start; services that it needs are processes all the same.

    For a test of what a command does. One of how a command starts, ends or answers a signal takes ``tally``.
    """
    from tally.cli.app import app
    from tally.main import _recover_switch

    with patch.dict(os.environ, _VARIABLES | environment):
        _recover_switch()
        result = CliRunner().invoke(app, arguments, input=stdin, prog_name="tally")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return subprocess.CompletedProcess(arguments, result.exit_code, result.stdout, result.stderr)


def tally(*arguments: str, stdin: str | None = None, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the command in a process of its own."""
    return subprocess.run(
        [*COMMAND, *arguments], cwd=ROOT, env=home_environment(environment), input=stdin, capture_output=True,
        text=True, timeout=240, check=False,
    )  # fmt: skip


FAKE = """
import os, signal, sys, threading
from pathlib import Path
from ledger.errors import TallyError
from ledger.home.locks import service_lock
from ledger.home.presence import announce
from tally.processes import lifeline

lifeline.follow_parent()
home, name, behavior = Path(os.environ["TALLY_HOME"]), sys.argv[1], sys.argv[2]
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: behavior != "deaf" and stop.set())
with service_lock(home, name):
    with (home / "started").open("a") as file:
        file.write(f"{name} {os.getpid()}\\n")
    if behavior == "refuses":
        print("TALLY_PORT 1234 is taken: choose another", file=sys.stderr)
        sys.exit(2)
    if behavior == "dies at once":
        sys.exit(3)
    announce(home, name, url="http://nowhere")
    if behavior == "dies" or behavior == "dies once" and len((home / "started").read_text().split(name + " ")) == 2:
        stop.wait(0.3)
        print("first line\\nsomething broke")
        sys.exit(3)
    if behavior == "starts anew":
        stop.wait(0.1)
        sys.exit(75)
    if behavior == "gives up":
        stop.wait(0.3)
        print("the log is damaged: restore it")
        sys.exit(2)
    stop.wait()
with (home / "stopped").open("a") as file:
    file.write(f"{name}\\n")
"""


UP = """
    from unittest.mock import patch
    import tally.product.up as product
    from tally.exit import reported_failures
    from tally.main import _terminate
    import contextlib, signal
    signal.signal(signal.SIGTERM, _terminate)

    @contextlib.contextmanager
    def opened(settings, new):
        yield None

    with (
        patch.object(product, "list_pipeline_services", lambda settings: [service("warehouse"), service("streams")]),
        patch.object(product, "API", service("api", {api!r}, ingests=True)),
        patch.object(product, "ALERTS", service("alerts")),
        patch.object(product, "DASHBOARDS", service("dashboards", {dashboards!r})),
        patch.object(product, "METRICS", service("metrics")),
        patch.object(product.dbt_models, "ensure_models", lambda settings: None),
        patch.object(product, "opened", opened),
        patch("tally.processes.supervisor.RESTART_DELAYS_S", (0.1, 0.1, 0.1)),
        patch("tally.processes.supervisor.LONG_RESTART_DELAYS_S", (0.1,)),
        reported_failures(),
    ):
        product.run(settings)
"""
"""``tally up`` of such services, for ``process``; ``dashboards`` and ``api`` say how these behave."""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Service]:
    """Makes a service. ``fake(name)`` runs until it is stopped; a second argument names another behavior."""
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'sdk'}{os.pathsep}{ROOT}")
    script = tmp_path / "fake.py"
    script.write_text(FAKE)
    return lambda name, behavior="well": Service(name, f"service {name}", (sys.executable, str(script), name, behavior))


@pytest.fixture
def process(
    tmp_path: Path, settings: Settings, fake: Callable[..., Service]
) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Runs Python of the test in a process of its own, with ``settings`` and ``service(name)`` at hand."""
    running: list[subprocess.Popen[str]] = []
    preamble = f"""
        import sys, time
        from pathlib import Path
        from ledger.settings import Settings
        from tally.processes.join import needing
        from tally.processes.service import Service
        settings = Settings(home=Path({str(settings.home)!r}))
        def service(name, behavior="well", ingests=False):
            command = (sys.executable, {str(tmp_path / "fake.py")!r}, name, behavior)
            return Service(name, "service " + name, command, ingests=ingests)
    """

    def run(body: str) -> subprocess.Popen[str]:
        code = textwrap.dedent(preamble) + textwrap.dedent(body)
        child = subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        running.append(child)
        return child

    yield run
    for child in running:
        child.kill()
        child.communicate()


def eventually(condition: Callable[[], bool], timeout_s: float = 60) -> None:
    """Wait until it is true, and fail where it does not become so."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.02)


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "\nState:\tZ" not in status if (status := _status(pid)) else True


def _status(pid: int) -> str:
    path = Path(f"/proc/{pid}/status")
    return path.read_text() if path.exists() else ""
