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

from ledger.errors import RESTART_AT_ONCE, FileDamaged, TallyError
from ledger.home.disk import full
from ledger.home.files import make_folder, unusable
from ledger.home.ports import free_port
from ledger.home.presence import each, lives
from ledger.settings import Settings
from tally.exit import Failure
from tally.processes import lifeline

READY_S = 300
STOP_S = 20
"""How long a part may take to be ready, and to end cleanly before it is killed (which does no harm)."""
BACK_S = 60
"""How long a part that another command runs may be away while that one starts it again."""

PRODUCT = "product"
"""The lock of the one `tally up` of a home, and what it says of the whole."""


class Part(NamedTuple):
    """Its name under ``run/`` and ``logs/``, how people call it, the command that runs it, and the setting of the port
    on which people reach it, where there is one. ``needs`` names the parts without which it cannot start; ``ingests``:
    nothing is recorded or folded without it."""

    name: str
    called: str
    command: tuple[str, ...]
    port: str | None = None
    needs: tuple[str, ...] = ()
    ingests: bool = False


def _tally(
    name: str, called: str, arguments: str, port: str | None = None, needs: str = "", *, ingests: bool = False
) -> Part:
    command = (sys.executable, "-P", "-m", "tally", *arguments.split())
    return Part(name, called, command, port, tuple(needs.split()), ingests)


KAFKA = _tally("kafka", "Kafka broker", "kafka serve", ingests=True)
WAREHOUSE = _tally("warehouse", "warehouse", "warehouse serve", "TALLY_WAREHOUSE_PORT")
STREAMS = _tally("streams", "streams worker", "streams worker", needs="kafka")
SINK = _tally("sink", "sink", "warehouse sink", needs="kafka warehouse")
MODELS = _tally("models", "building of the dbt models", "warehouse models")
DASHBOARDS = _tally("dashboards", "dashboards", "dashboards serve", "TALLY_DASHBOARDS_PORT", needs="warehouse")
API = _tally("api", "HTTP door", "api serve", "TALLY_API_PORT", needs="kafka", ingests=True)
ALERTS = _tally("alerts", "delivery of alerts", "alerts deliver", needs="kafka")
METRICS = _tally("metrics", "metrics", "metrics serve", "TALLY_METRICS_PORT")
FEED = _tally("feed", "demo's live feed", "demo feed", needs="kafka")


def lasting(settings: Settings) -> list[Part]:
    """The parts that this home may run as long as the product does."""
    there = [*storing(settings), API, ALERTS, DASHBOARDS, METRICS, FEED]
    return [KAFKA, *there] if settings.brings_kafka else there


def needs(settings: Settings, part: Part) -> list[Part]:
    """List the parts that must run before this one may, of those that this home runs."""
    return [other for other in lasting(settings) if other.name in part.needs]


def storing(settings: Settings) -> list[Part]:
    """What must run so that the log gets to the warehouse, in the order of their start."""
    return [STREAMS, SINK] if settings.warehouse else [WAREHOUSE, STREAMS, SINK]


class Child:
    """A part that this process started. It prints to ``logs/<part>.log``; the log before is kept."""

    def __init__(self, settings: Settings, part: Part, number: int = 1) -> None:
        """``number`` tells several of a part from each other."""
        self._settings, self.part = settings, part
        self.log = settings.home / "logs" / (f"{part.name}.log" if number == 1 else f"{part.name}-{number}.log")
        self._port = 0
        self._process = self._started()

    def again(self) -> None:
        """Start a part that died once more, on the port where it was reached before if that is still free."""
        with suppress(ProcessLookupError):  # what it started and left
            os.killpg(self._process.pid, signal.SIGKILL)
        try:
            free_port(self._port, self.part.called, "port")
        except TallyError:
            self._port = 0
        self._process = self._started()

    def ready(self) -> dict[str, Any]:
        """Wait until the part has announced itself, and return what it said."""
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            self.check("did not start")
            if (facts := self.announced()) is not None:
                return facts
            time.sleep(0.05)
        raise Failure(f"the {self.part.called} is not ready after {READY_S} s: see {self.log}")

    def announced(self) -> dict[str, Any] | None:
        """What the part said of itself; None while it is not ready."""
        try:
            said = each(self._settings, self.part.name)
        except FileDamaged:  # what stands there is told to who asks for it; the part runs all the same
            return None
        for facts in said:
            if facts["pid"] == self._process.pid:
                self._port = urlsplit(facts.get("url", "")).port or 0
                return facts
        return None

    def lives(self) -> bool:
        return self._process.poll() is None

    def check(self, what: str = "stopped") -> None:
        """Failure, with its reason, where the part is no more."""
        if (code := self._process.poll()) is not None:
            raise self._failure(code, what)

    def finished(self) -> None:
        """Wait for a part that ends by itself. Failure where it failed."""
        if (code := self._process.wait()) != 0:
            raise self._failure(code, "failed")

    def stop(self) -> None:
        """End the part cleanly; kill it, and what it started, if it takes too long."""
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _started(self) -> "subprocess.Popen[bytes]":
        there = {self.part.port: str(self._port)} if self.part.port and self._port else {}
        if not lives(self._settings, self.part.name):  # what a killed predecessor said of itself
            (self._settings.run / f"{self.part.name}.json").unlink(missing_ok=True)
        with self._output() as output:
            return subprocess.Popen(
                self.part.command,
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                start_new_session=True,  # the terminal's Ctrl-C is for us: we stop the parts in order
                pass_fds=[lifeline.reading_end()],
                env=_environment(self._settings) | there,
            )  # fmt: skip

    def _output(self) -> BinaryIO:
        """Where the part prints to. TallyError where that cannot be written."""
        make_folder(self.log.parent)
        try:
            if self.log.exists():
                self.log.replace(self.log.with_suffix(".previous.log"))
            return os.fdopen(os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
        except OSError as error:
            raise unusable(self.log, error) from error

    def _failure(self, code: int, what: str) -> Failure:
        if why := full(self._settings.home):
            return Failure(f"the {self.part.called} {what}: {why}", 2)
        return Failure(self._reason(code, what), code if code in (2, RESTART_AT_ONCE) else 1)

    def _reason(self, code: int, what: str) -> str:
        try:
            with self.log.open(errors="replace") as file:
                last = deque((line.rstrip() for line in file if line.strip()), maxlen=12)
        except OSError:
            last = deque()
        if code == 2 and last:  # it said so in a sentence of its own
            return f"the {self.part.called} {what}: {last[-1]}"
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        lines = "".join(f"\n  {self.part.name} | {line}" for line in last)
        return f"the {self.part.called} ended {how}; the last lines of {self.log}:{lines or ' (none)'}"


class Joined:
    """A part that another process runs."""

    def __init__(self, settings: Settings, part: Part) -> None:
        self._settings, self.part = settings, part
        self._missed: float | None = None

    def check(self) -> None:
        """Failure where the part is no more, and nobody is there who starts it again, or that takes too long."""
        if lives(self._settings, self.part.name):
            self._missed = None
            return
        self._missed = self._missed or time.monotonic()
        if not lives(self._settings, f"{self.part.name}.owner") or time.monotonic() - self._missed > BACK_S:
            raise Failure(f"the {self.part.called}, which another process ran, stopped; start again")


def _environment(settings: Settings) -> dict[str, str]:
    named = json.loads(settings.model_dump_json(exclude_none=True, exclude_unset=True, exclude={"home"}))
    named["home"] = str(settings.home.resolve())
    return (
        dict(os.environ)
        | {f"TALLY_{name.upper()}": str(value) for name, value in named.items()}
        | {lifeline.VARIABLE: str(lifeline.reading_end()), "PYTHONUNBUFFERED": "1"}
    )
