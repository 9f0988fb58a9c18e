"""The services of the embedded product, each a child process of the command that needs it."""

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
"""Maximum time until a service is ready, and until it has ended cleanly before it is killed (which is safe)."""
RETURN_TIMEOUT_S = 60
"""Maximum time for another command to restart a service that this one has joined."""

PRODUCT = "product"
"""Name of the lock of a home's `tally up`, and of its announcement."""


class Service(NamedTuple):
    """A service: its name under ``run/`` and ``logs/``, its title for people, its command, and the setting of its port
    if users reach it. ``needs`` names the services without which it cannot start; with ``ingests``, nothing is
    recorded without it."""

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
VERIFY = _define_service("verify", "verification", "verify")
MODELS = _define_service("models", "build of the dbt models", "warehouse models")
DASHBOARDS = _define_service("dashboards", "dashboards", "dashboards serve", "TALLY_DASHBOARDS_PORT", needs="warehouse")
API = _define_service("api", "HTTP API", "api serve", "TALLY_API_PORT", needs="kafka", ingests=True)
ALERTS = _define_service("alerts", "alert delivery", "alerts deliver", needs="kafka")
METRICS = _define_service("metrics", "metrics", "metrics serve", "TALLY_METRICS_PORT")
FEED = _define_service("feed", "demo feed", "demo feed", needs="kafka")


def list_services(settings: Settings) -> list[Service]:
    """List the services that run as long as the product does."""
    services = [*list_pipeline_services(settings), API, ALERTS, DASHBOARDS, METRICS, FEED]
    return [KAFKA, *services] if settings.has_own_kafka else services


def list_needed_services(settings: Settings, service: Service) -> list[Service]:
    """List the services that must run before this one may, of those that this home runs."""
    return [need for need in list_services(settings) if need.name in service.needs]


def list_pipeline_services(settings: Settings) -> list[Service]:
    """List the services that bring the log to the warehouse, in the order of their start."""
    return [STREAMS, SINK] if settings.warehouse else [WAREHOUSE, STREAMS, SINK]


class Child:
    """A service that this process started. It prints to ``logs/<service>.log``; the previous log is kept."""

    def __init__(self, settings: Settings, service: Service, number: int = 1) -> None:
        """``number`` distinguishes several processes of one service."""
        self._settings, self.service = settings, service
        self.log = settings.home / "logs" / (f"{service.name}.log" if number == 1 else f"{service.name}-{number}.log")
        self._port = 0
        self._process = self._spawn()

    def restart(self) -> None:
        """Start a crashed service again, on its previous port if that is still free."""
        with suppress(ProcessLookupError):  # children that it left behind
            os.killpg(self._process.pid, signal.SIGKILL)
        try:
            check_port(self._port, self.service.title, "port")
        except TallyError:
            self._port = 0
        self._process = self._spawn()

    def wait_until_ready(self) -> dict[str, Any]:
        """Wait until the service has announced itself, and return its announcement. Failure where it does not."""
        deadline = time.monotonic() + READY_TIMEOUT_S
        while time.monotonic() < deadline:
            self.check("did not start")
            if (facts := self.read_announcement()) is not None:
                return facts
            time.sleep(0.05)
        raise Failure(f"the {self.service.title} is not ready after {READY_TIMEOUT_S} s: see {self.log}")

    def read_announcement(self) -> dict[str, Any] | None:
        """Read the service's announcement; None while it is not ready."""
        try:
            announcements = list_presences(self._settings, self.service.name)
        except FileDamaged:  # `tally status` reports the file; the service runs all the same
            return None
        for facts in announcements:
            if facts["pid"] == self._process.pid:
                self._port = urlsplit(facts.get("url", "")).port or 0
                return facts
        return None

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def check(self, outcome: str = "stopped") -> None:
        """Raise Failure, with the reason, where the service has ended."""
        if (code := self._process.poll()) is not None:
            raise self._failure(code, outcome)

    def wait(self) -> None:
        """Wait for a service that ends by itself. Failure where it failed."""
        if (code := self._process.wait()) != 0:
            raise self._failure(code, "failed")

    def stop(self) -> None:
        """Stop the service; kill it and its children if that takes too long."""
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _spawn(self) -> "subprocess.Popen[bytes]":
        port_variable = {self.service.port: str(self._port)} if self.service.port and self._port else {}
        if not is_running(self._settings.home, self.service.name):  # announcement of a killed predecessor
            (self._settings.run / f"{self.service.name}.json").unlink(missing_ok=True)
        with self._output() as output:
            return subprocess.Popen(
                self.service.command,
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                start_new_session=True,  # only `tally` gets the terminal's Ctrl-C, and stops services in order
                pass_fds=[lifeline.get_reading_end()],
                env=_environment(self._settings) | port_variable,
            )  # fmt: skip

    def _output(self) -> BinaryIO:
        """Open the log that the service prints to. TallyError where it cannot be written."""
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
        if code == 2 and last_lines:  # its last line is the reason
            return f"the {self.service.title} {outcome}: {last_lines[-1]}"
        cause = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        lines = "".join(f"\n  {self.service.name} | {line}" for line in last_lines)
        return f"the {self.service.title} ended {cause}; the last lines of {self.log}:{lines or ' (none)'}"


class Joined:
    """A service that another process runs."""

    def __init__(self, settings: Settings, service: Service) -> None:
        self._settings, self.service = settings, service
        self._missed: float | None = None

    def check(self) -> None:
        """Raise Failure where the service has ended, and its owner too, or the restart takes too long."""
        if is_running(self._settings.home, self.service.name):
            self._missed = None
            return
        self._missed = self._missed or time.monotonic()
        if (
            not is_running(self._settings.home, f"{self.service.name}.owner")
            or time.monotonic() - self._missed > RETURN_TIMEOUT_S
        ):
            raise Failure(f"the {self.service.title}, which another process ran, has stopped: run this command again")


def _environment(settings: Settings) -> dict[str, str]:
    values = json.loads(settings.model_dump_json(exclude_none=True, exclude_unset=True, exclude={"home"}))
    values["home"] = str(settings.home.resolve())
    return (
        dict(os.environ)
        | {f"TALLY_{name.upper()}": str(value) for name, value in values.items()}
        | {lifeline.VARIABLE: str(lifeline.get_reading_end()), "PYTHONUNBUFFERED": "1"}
    )
