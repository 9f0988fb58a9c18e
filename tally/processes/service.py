"""The parts of the embedded product, each a child process of the command that needs it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import deque
from contextlib import suppress
from typing import Any, BinaryIO, NamedTuple
from urllib.parse import urlsplit

from ledger.errors import EXIT_RESTART, FileDamaged, TallyError
from ledger.home.disk import describe_full_disk
from ledger.home.files import access_error, make_folder
from ledger.home.locks import is_running
from ledger.home.ports import check_port
from ledger.home.presence import list_presences
from ledger.settings import Settings
from tally.exit import Failure
from tally.processes import lifeline

READY_TIMEOUT_S = 300
STOP_TIMEOUT_S = 20
"""How long a part may take to be ready, and to end cleanly before it is killed (which does no harm)."""
RETURN_TIMEOUT_S = 60
"""How long a part that another command runs may be away while that one starts it again."""

PRODUCT = "product"
"""The lock of the one `tally up` of a home, and what it says of the whole."""


class Service(NamedTuple):
    """Its name under ``run/`` and ``logs/``, how people call it, the command that runs it, and the setting of the port
    on which people reach it, where there is one. ``needs`` names the parts without which it cannot start; ``ingests``:
    nothing is recorded or folded without it."""

    name: str
    title: str
    command: tuple[str, ...]
    port: str | None = None
    needs: tuple[str, ...] = ()
    ingests: bool = False


def _define_service(
    name: str, title: str, arguments: str, port: str | None = None, needs: str = "", *, ingests: bool = False
) -> Service:
    command = (sys.executable, "-P", "-m", "tally", *arguments.split())
    return Service(name, title, command, port, tuple(needs.split()), ingests)


KAFKA = _define_service("kafka", "Kafka broker", "kafka serve", ingests=True)
WAREHOUSE = _define_service("warehouse", "warehouse", "warehouse serve", "TALLY_WAREHOUSE_PORT")
STREAMS = _define_service("streams", "streams worker", "streams worker", needs="kafka")
SINK = _define_service("sink", "sink", "warehouse sink", needs="kafka warehouse")
MODELS = _define_service("models", "building of the dbt models", "warehouse models")
DASHBOARDS = _define_service("dashboards", "dashboards", "dashboards serve", "TALLY_DASHBOARDS_PORT", needs="warehouse")
API = _define_service("api", "HTTP door", "api serve", "TALLY_API_PORT", needs="kafka", ingests=True)
ALERTS = _define_service("alerts", "delivery of alerts", "alerts deliver", needs="kafka")
METRICS = _define_service("metrics", "metrics", "metrics serve", "TALLY_METRICS_PORT")
FEED = _define_service("feed", "demo's live feed", "demo feed", needs="kafka")


def list_services(settings: Settings) -> list[Service]:
    """The parts that this home may run as long as the product does."""
    services = [*list_pipeline_services(settings), API, ALERTS, DASHBOARDS, METRICS, FEED]
    return [KAFKA, *services] if settings.has_own_kafka else services


def needs(settings: Settings, part: Service) -> list[Service]:
    """List the parts that must run before this one may, of those that this home runs."""
    return [other for other in list_services(settings) if other.name in part.needs]


def list_pipeline_services(settings: Settings) -> list[Service]:
    """What must run so that the log gets to the warehouse, in the order of their start."""
    return [STREAMS, SINK] if settings.warehouse else [WAREHOUSE, STREAMS, SINK]


class Child:
    """A part that this process started. It prints to ``logs/<part>.log``; the log before is kept."""

    def __init__(self, settings: Settings, service: Service, number: int = 1) -> None:
        """``number`` tells several of a part from each other."""
        self._settings, self.service = settings, service
        self.log = settings.home / "logs" / (f"{service.name}.log" if number == 1 else f"{service.name}-{number}.log")
        self._port = 0
        self._process = self._spawn()

    def restart(self) -> None:
        """Start a part that died once more, on the port where it was reached before if that is still free."""
        with suppress(ProcessLookupError):  # what it started and left
            os.killpg(self._process.pid, signal.SIGKILL)
        try:
            check_port(self._port, self.service.title, "port")
        except TallyError:
            self._port = 0
        self._process = self._spawn()

    def wait_until_ready(self) -> dict[str, Any]:
        """Wait until the part has announced itself, and return what it said."""
        deadline = time.monotonic() + READY_TIMEOUT_S
        while time.monotonic() < deadline:
            self.check("did not start")
            if (facts := self.read_announcement()) is not None:
                return facts
            time.sleep(0.05)
        raise Failure(f"the {self.service.title} is not ready after {READY_TIMEOUT_S} s: see {self.log}")

    def read_announcement(self) -> dict[str, Any] | None:
        """What the part said of itself; None while it is not ready."""
        try:
            announcements = list_presences(self._settings, self.service.name)
        except FileDamaged:  # what stands there is told to who asks for it; the part runs all the same
            return None
        for facts in announcements:
            if facts["pid"] == self._process.pid:
                self._port = urlsplit(facts.get("url", "")).port or 0
                return facts
        return None

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def check(self, outcome: str = "stopped") -> None:
        """Failure, with its reason, where the part is no more."""
        if (code := self._process.poll()) is not None:
            raise self._failure(code, outcome)

    def wait(self) -> None:
        """Wait for a part that ends by itself. Failure where it failed."""
        if (code := self._process.wait()) != 0:
            raise self._failure(code, "failed")

    def stop(self) -> None:
        """End the part cleanly; kill it, and what it started, if it takes too long."""
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _spawn(self) -> "subprocess.Popen[bytes]":
        port_variable = {self.service.port: str(self._port)} if self.service.port and self._port else {}
        if not is_running(self._settings.home, self.service.name):  # what a killed predecessor said of itself
            (self._settings.run / f"{self.service.name}.json").unlink(missing_ok=True)
        with self._output() as output:
            return subprocess.Popen(
                self.service.command,
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                start_new_session=True,  # the terminal's Ctrl-C is for us: we stop the parts in order
                pass_fds=[lifeline.get_reading_end()],
                env=_environment(self._settings) | port_variable,
            )  # fmt: skip

    def _output(self) -> BinaryIO:
        """Where the part prints to. TallyError where that cannot be written."""
        make_folder(self.log.parent)
        try:
            if self.log.exists():
                self.log.replace(self.log.with_suffix(".previous.log"))
            return os.fdopen(os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
        except OSError as error:
            raise access_error(self.log, error) from error

    def _failure(self, code: int, outcome: str) -> Failure:
        if reason := describe_full_disk(self._settings.home):
            return Failure(f"the {self.service.title} {outcome}: {reason}", 2)
        return Failure(self._reason(code, outcome), code if code in (2, EXIT_RESTART) else 1)

    def _reason(self, code: int, outcome: str) -> str:
        try:
            with self.log.open(errors="replace") as file:
                last_lines = deque((line.rstrip() for line in file if line.strip()), maxlen=12)
        except OSError:
            last_lines = deque()
        if code == 2 and last_lines:  # it said so in a sentence of its own
            return f"the {self.service.title} {outcome}: {last_lines[-1]}"
        cause = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        lines = "".join(f"\n  {self.service.name} | {line}" for line in last_lines)
        return f"the {self.service.title} ended {cause}; the last lines of {self.log}:{lines or ' (none)'}"


class Joined:
    """A part that another process runs."""

    def __init__(self, settings: Settings, service: Service) -> None:
        self._settings, self.service = settings, service
        self._missed: float | None = None

    def check(self) -> None:
        """Failure where the part is no more, and nobody is there who starts it again, or that takes too long."""
        if is_running(self._settings.home, self.service.name):
            self._missed = None
            return
        self._missed = self._missed or time.monotonic()
        if not is_running(self._settings.home, f"{self.service.name}.owner") or time.monotonic() - self._missed > RETURN_TIMEOUT_S:
            raise Failure(f"the {self.service.title}, which another process ran, stopped; start again")


def _environment(settings: Settings) -> dict[str, str]:
    values = json.loads(settings.model_dump_json(exclude_none=True, exclude_unset=True, exclude={"home"}))
    values["home"] = str(settings.home.resolve())
    return (
        dict(os.environ)
        | {f"TALLY_{name.upper()}": str(value) for name, value in values.items()}
        | {lifeline.VARIABLE: str(lifeline.get_reading_end()), "PYTHONUNBUFFERED": "1"}
    )
