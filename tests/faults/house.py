"""A home whose parts are processes of their own, which die and are started again while files are imported."""

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from ledger.log import PARTITIONS, folded
from ledger.log.embedded import EmbeddedLog
from ledger.settings import Settings
from ledger.topics import DERIVED, EVENTS
from tally.presence import ready
from tests.tally.conftest import COMMAND, ROOT, eventually, home_environment
from warehouse.client import WarehouseAway, connect
from warehouse.sink import stored

PARTS = {"warehouse": "warehouse serve", "streams": "streams worker", "sink": "warehouse sink"}
PATIENCE_S = 120
MEANWHILE = ("stopped; start again", "already runs in another process")
"""What an import says whose worker died, or whose own came beside ours."""
Process = subprocess.Popen[str]
Meanwhile = Callable[[], None]
"""Called again and again while the house works: here a test kills."""


class House:
    def __init__(self, home: Path, faults: dict[str, str] | None = None) -> None:
        """``faults`` says at which passing of a named point a part dies, the first time it runs."""
        self.settings = Settings(home=home)
        self._faults = dict(faults or {})
        self.running: dict[str, Process] = {}
        self._others: list[Process] = []
        self.deaths: list[str] = []

    def start(self) -> None:
        for name in PARTS:
            self.running[name] = self._spawn(name, *PARTS[name].split())
            eventually(lambda: ready(self.settings, name) is not None)  # noqa: B023  (called at once)

    def another(self, *arguments: str) -> Process:
        """One more process of the house, which is killed at its end."""
        self._others.append(self._spawn("another", *arguments))
        return self._others[-1]

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
        log = EmbeddedLog(self.settings.home)
        deadline = time.monotonic() + PATIENCE_S
        while not self._settled(log):
            assert time.monotonic() < deadline, f"nothing comes to its end; dead so far: {self.deaths}"
            meanwhile()
            self.revive()
            time.sleep(0.05)
        log.close()

    def revive(self) -> None:
        """Start again what died by SIGKILL; whatever ended otherwise is a failure.

        An import that finds no worker brings its own, beside which ours refuses to start until that one ends.
        """
        for name in PARTS.keys() & self.running.keys():
            if (code := self.running[name].poll()) is not None:
                _, errors = self.running[name].communicate()
                if code == -signal.SIGKILL:
                    self.deaths.append(name)
                else:
                    assert "already runs in another process" in errors, f"{name} ended with {code}: {errors}"
                self.running[name] = self._spawn(name, *PARTS[name].split())

    def stop(self, *names: str) -> None:
        """End parts as a supervisor would."""
        for name in names or ("sink", "streams", "warehouse"):
            part = self.running.pop(name)
            part.terminate()
            _, errors = part.communicate(timeout=PATIENCE_S)
            assert part.returncode == 0, f"{name} ended with {part.returncode}: {errors}"

    def kill(self) -> None:
        for part in (*self.running.values(), *self._others):
            part.send_signal(signal.SIGCONT)
            part.kill()
            part.communicate()

    def client(self) -> Client:
        return connect(self.settings)

    def ask(self, *arguments: str) -> Any:
        """A command's JSON."""
        asked = self._spawn("", *arguments, "--json")
        told, errors = asked.communicate(timeout=PATIENCE_S)
        assert asked.returncode == 0, told + errors
        return json.loads(told)

    def _spawn(self, name: str, *arguments: str) -> Process:
        environment = {"TALLY_HOME": str(self.settings.home)}
        if name in self._faults:
            environment["TALLY_FAULT"] = self._faults.pop(name)
        return subprocess.Popen(
            [*COMMAND, *arguments], cwd=ROOT, env=home_environment(environment), text=True,
            stdout=subprocess.PIPE if name in ("", "import") else subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip

    def _settled(self, log: EmbeddedLog) -> bool:
        if "streams" in self.running and any(folded(log, one) != log.end(EVENTS, one) for one in range(PARTITIONS)):
            return False
        try:
            client = self.client()
            for topic in DERIVED:
                there = stored(client, topic)
                if any(there.get(one, -1) + 1 < folded(log, one, topic) for one in range(PARTITIONS)):
                    return False
        except (ClickHouseError, WarehouseAway, OSError):  # it is being started again
            return False
        return True
