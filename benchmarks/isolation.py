"""The delay of one tenant's events during the attacks of another tenant, or of an analyst.

``python -m benchmarks.isolation [--seconds S] [ATTACK ...]``. In turns one token, and then an analyst, runs one attack
of ``benchmarks/hostile.py``; meanwhile another token sends single events, each on a connection of its own: how long
each took until it was answered as durable, and how long until a query of the warehouse shows it. Both tokens have an
organization of their own. Without an attack the same is measured first. A service that ends is started again, as under
``tally up``, and counted.
"""

import argparse
import http.client
import itertools
import json
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import Error

from benchmarks.hostile import ANALYST_ATTACKS, ATTACKS, attacking
from ledger.errors import TallyError
from ledger.home.presence import find_presence
from ledger.home.tokens import create_token
from ledger.settings import Settings
from tally.processes.join import needing
from tally.processes.service import API, WAREHOUSE, Child, Joined, list_pipeline_services
from tally.processes.supervisor import Supervisor
from tally.session import opened
from warehouse.client import connect

MAX_ANSWER_S, MAX_LAG_S = 2.0, 5.0
"""Aims of `docs/benchmarks.md`."""
SEND_INTERVAL_S = 0.2
"""Seconds between two events."""
TIMEOUT_S = 120
"""Limit for the last event to become visible."""
NO_ATTACK = "nothing"


class Effects(NamedTuple):
    """Effects of one attack on the other tenant's events, in seconds."""

    answers: list[float]
    refused: int
    lags: list[float]


def main(attacks: Sequence[str], seconds: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder), log=None, warehouse=None, warehouse_port=0, api_port=0)
        services = [*list_pipeline_services(settings), API]
        with opened(settings, new=True), needing(settings, services) as children, supervised(settings, children):
            api, warehouse = (find_presence(settings.home, service.name) for service in (API, WAREHOUSE))
            assert api
            assert warehouse
            hostile_token, victim_token = (
                create_token(settings.home, [name], ["write"])[1] for name in ("hostile", "acme")
            )
            victim = _Victim(settings, api["url"], victim_token)
            print(
                f"{'one token or analyst':20} {'answered':>9} {'refused':>8} {'p50':>8} {'longest':>8}   seen after, "
                "p50 and longest; starts of the warehouse"
            )
            victim.measure(nullcontext(), 2.0)  # until the sink is at work
            for name in [NO_ATTACK, *attacks]:
                address = (api["url"], hostile_token)
                if name in ANALYST_ATTACKS:
                    address = (warehouse["url"], warehouse["analyst"]["password"])
                attack = nullcontext() if name == NO_ATTACK else attacking(name, *address)
                starts = _pid(settings)
                felt = victim.measure(attack, seconds)
                print(_render_line(name, felt), "" if _pid(settings) == starts else "  (started again)", flush=True)


def _pid(settings: Settings) -> int:
    return int((find_presence(settings.home, WAREHOUSE.name) or {"pid": 0})["pid"])


@contextmanager
def supervised(settings: Settings, children: Sequence[Child | Joined]) -> Iterator[None]:
    """Have services that end started again meanwhile."""
    supervisor = Supervisor(settings, [child for child in children if isinstance(child, Child)])
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.1):
            supervisor.poll()

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

    def measure(self, attack: object, seconds: float) -> Effects:
        effects = Effects([], 0, [])
        send_times: dict[str, float] = {}
        refused = 0
        stopped = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(send_times, effects.lags, stopped))
        watcher.start()
        with attack:  # type: ignore[attr-defined]
            time.sleep(1.0)
            end_time = time.monotonic() + seconds
            while time.monotonic() < end_time:
                start, id = time.monotonic(), f"{next(self._numbers)}"
                if self._send(id):
                    send_times[id] = start
                    effects.answers.append(time.monotonic() - start)
                else:
                    refused += 1
                time.sleep(SEND_INTERVAL_S)
        stopped.set()
        watcher.join()
        return effects._replace(refused=refused)

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

    def _find_visible_ids(self) -> set[str]:
        """Query the ids of the events that are visible; none while the warehouse starts again."""
        try:
            self._client = self._client or connect(self._settings)
            rows = self._client.query("SELECT DISTINCT id FROM tally.entries WHERE source = 'victim'").result_rows
        except (TallyError, Error, OSError):
            self._client = None
            return set()
        return {row[0] for row in rows}

    def _watch(self, send_times: dict[str, float], lags: list[float], stopped: threading.Event) -> None:
        """Poll the warehouse until all events are visible."""
        visible_ids: set[str] = set()
        deadline = None
        while not (stopped.is_set() and len(visible_ids) == len(send_times)):
            if stopped.is_set() and deadline is None:
                deadline = time.monotonic() + TIMEOUT_S
            if deadline is not None and time.monotonic() > deadline:
                lags += [TIMEOUT_S] * (len(send_times) - len(visible_ids))
                return
            found_ids, now = self._find_visible_ids(), time.monotonic()
            for id in found_ids & (send_times.keys() - visible_ids):
                visible_ids.add(id)
                lags.append(now - send_times[id])
            time.sleep(0.2)


def _render_line(name: str, effects: Effects) -> str:
    answers, lags = sorted(effects.answers) or [float("inf")], sorted(effects.lags) or [float("inf")]

    def describe_excess(longest: float, limit: float) -> str:
        return "" if longest <= limit else f" (more than {limit:g} s)"

    return (
        f"{name:20} {len(effects.answers):9} {effects.refused:8} {answers[len(answers) // 2]:7.3f}s {answers[-1]:7.3f}s"
        f"{describe_excess(answers[-1], MAX_ANSWER_S)}   {lags[len(lags) // 2]:.1f}s, longest {lags[-1]:.1f}s"
        f"{describe_excess(lags[-1], MAX_LAG_S)}"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("attacks", nargs="*", default=[*ATTACKS, *ANALYST_ATTACKS])
    options = parser.parse_args()
    main(options.attacks, options.seconds)
