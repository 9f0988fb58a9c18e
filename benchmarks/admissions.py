"""An ask through the log, beside an empty endpoint of the same server.

``python -m benchmarks.admissions [ASKS]``. An API and a worker of the folds, each a process of its own, on the embedded
log, and one grant of a team that has room. In turns: asks for admission, and requests to ``/healthz``, which does
nothing, first one after the other on one connection, then on sixteen at once. Every ask is appended durably, folded,
and answered by its decision.
"""

import http.client
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ledger.home.presence import find_presence
from ledger.home.tokens import create_token
from ledger.settings import Settings
from tally.processes.join import using
from tally.processes.service import API, STREAMS
from tally.session import opened

ROUNDS, CONNECTIONS = 5, 16
ASK = json.dumps({"team": "search", "provider": "openai", "model": "gpt-4o", "input_tokens": 900, "max_tokens": 500})
LIMITS = [{"meter": meter, "amount": 10**12, "window": {"rolling_s": 3600}} for meter in ("tokens", "calls")]
GRANT: dict[str, Any] = {
    "specversion": "1.0", "id": "grant", "source": "benchmark", "time": "2026-06-01T12:00:00Z",
    "type": "tallystick.control.v1",
    "data": {
        "control": "grant.created",
        "body": {"grant": "search", "dimension": "team", "scope": "search", "limits": LIMITS},
    },
}  # fmt: skip


def main(asks: int = 1_000) -> None:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder), api_port=0)
        with opened(settings, new=True), using(settings, STREAMS), using(settings, API):
            api = find_presence(settings.home, API.name)
            assert api
            client = _Client(api["url"], create_token(settings.home, ["acme"], ["write", "admin"])[1])
            client.send("POST", "/v1/events", json.dumps(GRANT), 1)
            client.ask(100)
            for connections in (1, CONNECTIONS):
                _compare(client, asks // ROUNDS, connections)


def _compare(client: "_Client", asks: int, connections: int) -> None:
    works: dict[str, Callable[[int], list[float]]] = {"empty endpoint": client.ping, "ask": client.ask}
    durations: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(ROUNDS):
        for name, work in works.items():
            with ThreadPoolExecutor(connections) as senders:
                for seconds in senders.map(work, [asks // connections] * connections):
                    durations[name] += seconds
    quantiles = {name: statistics.quantiles(seconds, n=100) for name, seconds in durations.items()}
    print(f"{connections} at once, {len(durations['ask']):,} asks")
    for name, values in quantiles.items():
        print(f"  {name:16} p50 {values[49] * 1000:8.1f} ms   p99 {values[98] * 1000:8.1f} ms")
    ratios = [quantiles["ask"][index] / quantiles["empty endpoint"][index] for index in (49, 98)]
    print(f"  ask / empty endpoint: p50 {ratios[0]:.1f}, p99 {ratios[1]:.1f}")


class _Client:
    def __init__(self, url: str, bearer: str) -> None:
        self._address = urlsplit(url)
        self._headers = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"}

    def ask(self, count: int) -> list[float]:
        return self.send("POST", "/v1/admissions", ASK, count)

    def ping(self, count: int) -> list[float]:
        return self.send("GET", "/healthz", None, count)

    def send(self, method: str, path: str, body: str | None, count: int) -> list[float]:
        """Send a request again and again on one connection; return the seconds of each. RuntimeError if one fails."""
        assert self._address.hostname
        connection = http.client.HTTPConnection(self._address.hostname, self._address.port, timeout=60)
        durations: list[float] = []
        for _ in range(count):
            start_s = time.perf_counter()
            connection.request(method, path, body, self._headers)
            response = connection.getresponse()
            answer = response.read()
            durations.append(time.perf_counter() - start_s)
            if response.status != 200:
                raise RuntimeError(f"the HTTP API answered {response.status}: {answer[:500]!r}")
        connection.close()
        return durations


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
