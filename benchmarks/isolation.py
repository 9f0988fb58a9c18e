"""What a tenant feels while another one, or an analyst, does its worst.

``python -m benchmarks.isolation [--seconds S] [ATTACK ...]``. In turns one token does one thing of
``benchmarks/hostile.py``, and then an analyst; meanwhile another token sends single events, each on a connection of its
own: how long each took until it was answered as durable, and how long until a query of the warehouse shows it. Both
tokens have an organization of their own. Without an attack the same is measured first. A service that ends is started
again, as under ``tally up``, and counted.
"""

import argparse
import http.client
import itertools
import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import Error

from benchmarks.hostile import ANALYST_ATTACKS, ATTACKS, attacking
from ledger.errors import TallyError
from ledger.home.presence import announced
from ledger.home.tokens import create
from ledger.settings import Settings
from tally.processes.join import needing
from tally.processes.service import API, WAREHOUSE, Child, Joined, storing
from tally.processes.supervisor import Supervisor
from tally.session import opened
from warehouse.client import connect

MAX_ANSWER_S, MAX_LAG_S = 2.0, 5.0
"""What issue and docs promise."""
EACH_S = 0.2
"""A moment between two events."""
PATIENCE_S = 120
"""How long the last event may take until it is seen."""
NOTHING = "nothing"


class Felt(NamedTuple):
    """What one attack did to the other tenant's events, in seconds."""

    answers: list[float]
    refused: int
    lags: list[float]


def main(attacks: Sequence[str], seconds: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder), log=None, warehouse=None, warehouse_port=0, api_port=0)
        services = [*storing(settings), API]
        with opened(settings, new=True), needing(settings, services) as children, supervised(settings, children):
            api, warehouse = (announced(settings.home, service.name) for service in (API, WAREHOUSE))
            assert api
            assert warehouse
            hostile, ours = (create(settings.home, [name], ["write"])[1] for name in ("hostile", "acme"))
            victim = _Victim(settings, api["url"], ours)
            print(
                f"{'one token or analyst':20} {'answered':>9} {'refused':>8} {'p50':>8} {'longest':>8}   seen after, "
                "p50 and longest; starts of the warehouse"
            )
            victim.feel(nullcontext(), 2.0)  # until the sink is at work
            for name in [NOTHING, *attacks]:
                address = (api["url"], hostile)
                if name in ANALYST_ATTACKS:
                    address = (warehouse["url"], warehouse["analyst"]["password"])
                attack = nullcontext() if name == NOTHING else attacking(name, *address)
                starts = _pid(settings)
                felt = victim.feel(attack, seconds)
                print(_line(name, felt), "" if _pid(settings) == starts else "  (started again)", flush=True)


def _pid(settings: Settings) -> int:
    return int((announced(settings.home, WAREHOUSE.name) or {"pid": 0})["pid"])


@contextmanager
def supervised(settings: Settings, children: Sequence[Child | Joined]) -> Iterator[None]:
    """Have services that end started again meanwhile."""
    supervisor = Supervisor(settings, [child for child in children if isinstance(child, Child)])
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.1):
            supervisor.look()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


class _Victim:
    """The other tenant: sends single events, and looks for them in the warehouse."""

    def __init__(self, settings: Settings, url: str, bearer: str) -> None:
        self._url = urlsplit(url)
        self._headers = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/cloudevents+json"}
        self._settings = settings
        self._client: Client | None = None
        self._numbers = itertools.count()

    def feel(self, attack: object, seconds: float) -> Felt:
        felt = Felt([], 0, [])
        sent: dict[str, float] = {}
        refused = 0
        done = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(sent, felt.lags, done))
        watcher.start()
        with attack:  # type: ignore[attr-defined]
            time.sleep(1.0)
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                begun, id = time.monotonic(), f"{next(self._numbers)}"
                if self._send(id):
                    sent[id] = begun
                    felt.answers.append(time.monotonic() - begun)
                else:
                    refused += 1
                time.sleep(EACH_S)
        done.set()
        watcher.join()
        return felt._replace(refused=refused)

    def _send(self, id: str) -> bool:
        event = {
            "specversion": "1.0", "id": id, "source": "victim", "time": "2026-06-01T12:00:00Z",
            "type": "tallystick.inference.v1", "data": {"model": "gpt-4o", "tokens": {"input": 1}},
        }  # fmt: skip
        assert self._url.hostname
        connection = http.client.HTTPConnection(self._url.hostname, self._url.port, timeout=60)
        try:
            connection.request("POST", "/v1/events", json.dumps(event), self._headers)
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _stored(self) -> set[str]:
        """Which of the events a query shows; none while the warehouse starts again."""
        try:
            self._client = self._client or connect(self._settings)
            rows = self._client.query("SELECT DISTINCT id FROM tally.entries WHERE source = 'victim'").result_rows
        except (TallyError, Error, OSError):
            self._client = None
            return set()
        return {row[0] for row in rows}

    def _watch(self, sent: dict[str, float], lags: list[float], done: threading.Event) -> None:
        """Ask again and again which of the events are seen, until all are."""
        seen: set[str] = set()
        deadline = None
        while not (done.is_set() and len(seen) == len(sent)):
            if done.is_set() and deadline is None:
                deadline = time.monotonic() + PATIENCE_S
            if deadline is not None and time.monotonic() > deadline:
                lags += [PATIENCE_S] * (len(sent) - len(seen))
                return
            stored, now = self._stored(), time.monotonic()
            for id in stored & (sent.keys() - seen):
                seen.add(id)
                lags.append(now - sent[id])
            time.sleep(0.2)


def _line(name: str, felt: Felt) -> str:
    answers, lags = sorted(felt.answers) or [float("inf")], sorted(felt.lags) or [float("inf")]
    held: Callable[[float, float], str] = lambda longest, most: "" if longest <= most else f" (more than {most:g} s)"  # noqa: E731
    return (
        f"{name:20} {len(felt.answers):9} {felt.refused:8} {answers[len(answers) // 2]:7.3f}s {answers[-1]:7.3f}s"
        f"{held(answers[-1], MAX_ANSWER_S)}   {lags[len(lags) // 2]:.1f}s, longest {lags[-1]:.1f}s"
        f"{held(lags[-1], MAX_LAG_S)}"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("attacks", nargs="*", default=[*ATTACKS, *ANALYST_ATTACKS])
    chosen = parser.parse_args()
    main(chosen.attacks, chosen.seconds)
