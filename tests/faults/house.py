"""A home whose parts are processes of their own, which die and are started again while files are imported."""

import json
import random
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from ledger.home.presence import find_any_presence
from ledger.log import PARTITIONS, Log, fold_offset
from ledger.log.open import open_log
from ledger.log.topics import DERIVED, EVENTS
from ledger.settings import Settings
from tests.tally.conftest import COMMAND, ROOT, home_environment, invoke
from warehouse.client import WarehouseAway, connect
from warehouse.sink import read_stored_offsets

WAREHOUSE, STREAMS, SINK, API = "warehouse serve", "streams worker", "warehouse sink", "api serve"
PATIENCE_S = 300
ENDS = (0, 128 + signal.SIGTERM)
"""Codes of parts that were asked to end: uvicorn raises the signal again once all is closed."""
MEANWHILE = ("has stopped: run this command again", "already runs in another process", "at kafka://")
"""What an import says whose worker died, whose own came beside ours, or whose cluster does not answer."""
Process = subprocess.Popen[str]
Meanwhile = Callable[[], None]
"""Called again and again while the house works: here a test kills."""


class House:
    def __init__(
        self,
        home: Path,
        faults: dict[str, str] | None = None,
        log: str | None = None,
        workers: int = 1,
        warehouse: str | None = None,
        has_api: bool = False,
    ) -> None:
        """``faults`` says at which passing of a named point a part dies, the first time it runs; of several, one a run.
        On Kafka (``log`` is its URL) several workers fold. ``warehouse`` is the URL of a server that is not the house's
        own. With ``has_api`` it answers over HTTP."""
        self.settings = Settings(home=home, log=log, warehouse=warehouse)
        self.folds = ["streams", *(f"streams-{number}" for number in range(2, workers + 1))]
        own_services = {} if warehouse else {"warehouse": WAREHOUSE}
        self._services = {**own_services, **dict.fromkeys(self.folds, STREAMS), "sink": SINK}
        self._services |= {"api": API} if has_api else {}
        self._faults = {name: points.split() for name, points in (faults or {}).items()}
        self.running: dict[str, Process] = {}
        self._other_processes: list[Process] = []
        self.deaths: list[str] = []

    def start(self, *names: str) -> None:
        """Start these parts, or all, and wait until they are ready."""
        open_log(self.settings, new=True).close()
        for name in names or self._services:
            self.running[name] = self._spawn(name, *self._services[name].split())
        for name in names or self._services:
            self.until(lambda: find_any_presence(self.settings, name.partition("-")[0]) is not None)  # noqa: B023  (called at once)

    def another(self, *arguments: str) -> Process:
        """One more process of the house, which is killed at its end."""
        self._other_processes.append(self._spawn("another", *arguments))
        return self._other_processes[-1]

    def bring(self, file: Path, *options: str, meanwhile: Meanwhile = lambda: None) -> dict[str, Any]:
        """Import a file until an import of it succeeds; its summary."""
        arguments = ["import", str(file), *options, "--json"]
        self.running["import"] = self._spawn("import", *arguments)
        while True:
            meanwhile()
            self.revive()
            if (code := self.running["import"].poll()) is not None:
                told, errors = self.running.pop("import").communicate()
                if code == 0:
                    return dict(json.loads(told))
                assert code == -signal.SIGKILL or any(one in errors for one in MEANWHILE), errors
                if code == -signal.SIGKILL:
                    self.deaths.append("import")
                self.running["import"] = self._spawn("import", *arguments)
            time.sleep(0.01)

    def settle(self, meanwhile: Meanwhile = lambda: None) -> None:
        """Wait until all that is on the log is folded, as long as the folds run, and what they derived is stored."""
        log = open_log(self.settings)
        self.until(lambda: self._settled(log), meanwhile)
        log.close()

    def until(self, true: Callable[[], bool], meanwhile: Meanwhile = lambda: None) -> None:
        """Wait until it is true, and start again meanwhile what dies by SIGKILL."""
        deadline = time.monotonic() + PATIENCE_S
        while not true():
            assert time.monotonic() < deadline, f"nothing comes to its end; dead so far: {self.deaths}"
            meanwhile()
            self.revive()
            time.sleep(0.05)

    def killer(
        self, chance: random.Random, victims: Sequence[str], *, most: int, between_s: tuple[float, float]
    ) -> Meanwhile:
        """Kills one of the victims that run, again and again after a while between these, until so many have died."""
        due = time.monotonic() + chance.uniform(*between_s)

        def kill() -> None:
            nonlocal due
            if time.monotonic() < due or len(self.deaths) >= most:
                return
            victim = self.running.get(chance.choice(victims))
            if victim is not None:
                victim.kill()
            due = time.monotonic() + chance.uniform(*between_s)

        return kill

    def revive(self) -> None:
        """Start again what died by SIGKILL; whatever ended otherwise is a failure.

        An import that finds no worker brings its own, beside which ours refuses to start until that one ends.
        """
        for name in self._services.keys() & self.running.keys():
            if (code := self.running[name].poll()) is not None:
                errors = self.output_of(name)
                if code == -signal.SIGKILL:
                    self.deaths.append(name)
                else:
                    assert "already runs in another process" in errors, f"{name} ended with {code}: {errors}"
                self.running[name] = self._spawn(name, *self._services[name].split())

    def stop(self, *names: str) -> None:
        """End parts as a supervisor would."""
        for name in names or reversed(self._services):
            part = self.running.pop(name)
            part.terminate()
            code = part.wait(timeout=PATIENCE_S)
            assert code in ENDS, f"{name} ended with {code}: {self.output_of(name)}"

    def kill(self) -> None:
        for part in (*self.running.values(), *self._other_processes):
            part.send_signal(signal.SIGCONT)
            part.kill()
            part.communicate()

    def client(self) -> Client:
        return connect(self.settings)

    def ask(self, *arguments: str) -> Any:
        """Run a command in this process, and return its JSON."""
        command = invoke(*arguments, "--json", **self._environment())
        assert command.returncode == 0, command.stdout + command.stderr
        return json.loads(command.stdout)

    def _environment(self) -> dict[str, str]:
        return {
            "TALLY_HOME": str(self.settings.home),
            "TALLY_LOG": self.settings.log or "",
            "TALLY_WAREHOUSE": self.settings.warehouse or "",
        }

    def _spawn(self, name: str, *arguments: str) -> Process:
        environment = self._environment()
        if points := self._faults.get(name):
            environment["TALLY_FAULT"] = points.pop(0)
        is_piped = name == "import"
        # A file: a pipe that nobody reads would block a service that prints much.
        with self._output_path(name).open("a") as output:
            return subprocess.Popen(
                [*COMMAND, *arguments], cwd=ROOT, env=home_environment(environment), text=True,
                stdout=subprocess.PIPE if is_piped else output, stderr=subprocess.PIPE if is_piped else output,
            )  # fmt: skip

    def output_of(self, name: str) -> str:
        """What a part has printed, also before it died."""
        return self._output_path(name).read_text()

    def _output_path(self, name: str) -> Path:
        return self.settings.home.parent / f"{name}.said"

    def folded(self) -> bool:
        """Whether all that is on the log is folded."""
        with closing(open_log(self.settings)) as log:
            return _folded(log)

    def _settled(self, log: Log) -> bool:
        if "streams" in self.running and not _folded(log):
            return False
        try:
            client = self.client()
            for topic in DERIVED:
                stored_offsets = read_stored_offsets(client, topic)
                if any(
                    stored_offsets.get(partition, -1) + 1 < fold_offset(log, partition, topic)
                    for partition in range(PARTITIONS)
                ):
                    return False
        except (ClickHouseError, WarehouseAway, OSError):  # it is being started again
            return False
        return True


def _folded(log: Log) -> bool:
    return [fold_offset(log, partition) for partition in range(PARTITIONS)] == log.ends(EVENTS)
