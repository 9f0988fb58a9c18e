"""Admissions through the log, from leases of the HTTP API, and from a lease in the SDK.

``python -m benchmarks.rights.admissions [--kafka] [--rate A_SECOND] [ASKS]``. An API and a worker of the folds, each a
process of its own, on the embedded log or, with ``--kafka``, on the home's own broker. First asks through the log that
arrive one by one at a quarter, half and all of the rate, whether or not those before are answered, for 10 s each; with
``--kafka`` nothing else. In turns, by 1, 10 and 100 callers: requests to ``/healthz``, which does nothing, asks that
the API answers from a lease, and asks through the log (their reservation outlasts any lease of the API). Then callers
that ask all at once for more than a limit has, against one grant and against a tree three deep; and what holders of
leases keep idle.
"""

import argparse
import http.client
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.harness.open_loop import Load, offer
from ledger.home.presence import find_presence
from ledger.home.tokens import create_token
from ledger.settings import Settings
from tally.processes.join import using
from tally.processes.service import API, STREAMS
from tally.session import opened
from tallystick import Client

RATE_PARTS, LOAD_S, CONNECTIONS = (0.25, 0.5, 1), 10, 64
ROUNDS, CALLERS = 5, (1, 10, 100)
CROWDS, MAX_CONNECTIONS = (1, 10, 100, 1_000), 250
"""Callers that ask at once, and their connections: beyond these a request asks for several callers."""
HOLDERS, HELD_CALLS = (2, 10, 100), 1_000_000
CALL = {"provider": "openai", "model": "gpt-4o", "input_tokens": 900, "max_tokens": 500}
ASK = json.dumps(CALL | {"team": "search"})
LOGGED_ASK = json.dumps(CALL | {"team": "logged", "ttl_s": 1_000})


def main(asks: int, per_second: float, kafka: bool) -> None:
    with serving(kafka) as server:
        limits = [{"meter": meter, "amount": 10**12, "window": {"rolling_s": 3600}} for meter in ("tokens", "calls")]
        server.give("search", limits)
        server.give("logged", limits)
        server.ask(LOGGED_ASK, 100)
        for part in RATE_PARTS:
            _offer(server, part * per_second)
        if kafka:
            return
        server.ask(ASK, 100)
        for callers in CALLERS:
            _compare(server, asks // ROUNDS, callers)
        _measure_sdk(server, 10 * asks)
        for depth in (1, 3):
            for callers in CROWDS:
                _crowd(server, f"crowd-{depth}-{callers}", depth, callers)
        for holders in HOLDERS:
            _hold(server, holders)


def _offer(server: "Server", per_second: float) -> None:
    """Offer asks through the log at a rate."""
    latencies = offer(Load(server.url, server.headers, "/v1/admissions", [LOGGED_ASK], per_second, LOAD_S, CONNECTIONS))
    print(
        f"{per_second:6,.0f} asks/s arrive through the log: p50 {latencies.quantile(50) * 1000:7.1f} ms  "
        f"p99 {latencies.quantile(99) * 1000:7.1f} ms; answered {latencies.answered_per_s:,.0f}/s "
        f"{latencies.statuses}; an arrival was noticed {latencies.lag_p99_s * 1000:.1f} ms late at p99; "
        f"load {os.getloadavg()[0]:.0f}",
        flush=True,
    )


def _compare(server: "Server", asks: int, callers: int) -> None:
    works: dict[str, Callable[[int], list[float]]] = {
        "empty endpoint": server.ping,
        "from a lease": lambda count: server.ask(ASK, count),
        "through the log": lambda count: server.ask(LOGGED_ASK, count),
    }
    durations: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(ROUNDS):
        for name, work in works.items():
            with ThreadPoolExecutor(callers) as senders:
                for seconds in senders.map(work, [max(1, asks // callers)] * callers):
                    durations[name] += seconds
    print(f"{callers} callers, {len(durations['from a lease']):,} asks")
    quantiles = {name: statistics.quantiles(seconds, n=100) for name, seconds in durations.items()}
    for name, values in quantiles.items():
        ratios = [values[index] / quantiles["empty endpoint"][index] for index in (49, 98)]
        print(
            f"  {name:16} p50 {values[49] * 1000:7.1f} ms  p99 {values[98] * 1000:7.1f} ms"
            f"  of empty: p50 {ratios[0]:5.1f}, p99 {ratios[1]:5.1f}"
        )
    print(f"  answered from a lease: {server.leased_share:.0%} of the asks that can be")


def _measure_sdk(server: "Server", asks: int) -> None:
    with tempfile.TemporaryDirectory() as spool:
        client = Client(server.url, server.bearer, source="benchmark", spool=spool)
        durations = []
        with client.lease(team="search", tokens=10**10, calls=10**8) as lease:
            for _ in range(asks):
                admission = lease.admit(**CALL)
                start_s = time.perf_counter()
                admission.__enter__()
                durations.append(time.perf_counter() - start_s)
                assert "lease" in admission.decision
                admission.__exit__(None, None, None)
        client.close()
    values = statistics.quantiles(durations, n=100)
    print(f"a lease in the SDK: p50 {values[49] * 1e6:.1f} µs, p99 {values[98] * 1e6:.1f} µs of {asks:,} admissions")


def _crowd(server: "Server", name: str, depth: int, callers: int) -> None:
    """Have each caller ask for a call four times at once, on a limit of three for each."""
    limit = 3 * callers
    server.give(name, [{"meter": "calls", "amount": limit}], depth)
    scope = f"{name}-{depth - 1}" if depth > 1 else name
    connections = min(callers, MAX_CONNECTIONS)
    asks = json.dumps([CALL | {"team": scope}] * (callers // connections))
    start_s = time.perf_counter()
    with ThreadPoolExecutor(connections) as senders:
        answers = [
            answer
            for answers in senders.map(lambda _: server.exchange("POST", "/v1/admissions", asks, 4), range(connections))
            for _, document in answers
            for answer in document["answers"]
        ]
    seconds = time.perf_counter() - start_s
    allowed = [answer for answer in answers if answer["status"] == 200]
    leased = sum("lease" in answer for answer in allowed)
    print(
        f"{callers:5,} callers at once, {depth} deep: limit {limit:,}, asked {len(answers):,}, allowed "
        f"{len(allowed):,} ({leased:,} from leases), beyond the limit: {max(0, len(allowed) - limit)}; "
        f"{len(answers) / seconds:,.0f} asks/s"
    )


def _hold(server: "Server", holders: int) -> None:
    """Have holders lease, all that they can get, and twice what they use while a lease lasts: together a hundredth."""
    shares = []
    for name, calls in (("all", HELD_CALLS), ("use", 2 * HELD_CALLS // 100 // holders)):
        team = f"held-{holders}-{name}"
        server.give(team, [{"meter": "calls", "amount": HELD_CALLS}])
        body = json.dumps({"team": team, "calls": calls})
        answers = [server.exchange("POST", "/v1/leases", body, 1)[0][1] for _ in range(holders)]
        shares.append(sum(answer.get("amounts", {"calls": 0})["calls"] for answer in answers) / HELD_CALLS)
    print(
        f"{holders:5} holders of leases keep {shares[0]:.1%} of a limit if each takes all that it gets, "
        f"{shares[1]:.1%} if each takes twice its use (1.0% together)"
    )


@contextmanager
def serving(kafka: bool = False) -> Iterator["Server"]:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder), log="kafka://" if kafka else None, api_port=0)
        with opened(settings, new=True), using(settings, STREAMS), using(settings, API):
            api = find_presence(settings.home, API.name)
            assert api
            yield Server(settings, api["url"], create_token(settings.home, ["acme"], ["write", "admin"])[1])


class Server:
    def __init__(self, settings: Settings, url: str, bearer: str) -> None:
        self.settings, self.url, self.bearer = settings, url, bearer
        self.headers = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"}
        self._asks = self._leased = 0

    @property
    def leased_share(self) -> float:
        return self._leased / self._asks

    def give(self, name: str, limits: list[dict[str, Any]], depth: int = 1) -> None:
        """Give a grant to a team of its name, and grants below it, each with the same limits and a team of its own."""
        for level in range(depth):
            grant: dict[str, Any] = {
                "grant": f"{name}-{level}" if level else name,
                "dimension": "team",
                "limits": limits,
            }
            grant["scope"] = grant["grant"]
            if level:
                grant["parent"] = f"{name}-{level - 1}" if level > 1 else name
            event = {
                "specversion": "1.0", "id": grant["grant"], "source": "benchmark", "time": "2026-06-01T12:00:00Z",
                "type": "tallystick.control.v1", "data": {"control": "grant.created", "body": grant},
            }  # fmt: skip
            self.exchange("POST", "/v1/events", json.dumps(event), 1)

    def ask(self, body: str, count: int) -> list[float]:
        answers = self.exchange("POST", "/v1/admissions", body, count)
        if body == ASK:
            self._asks += len(answers)
            self._leased += sum("lease" in document for _, document in answers)
        return [seconds for seconds, _ in answers]

    def ping(self, count: int) -> list[float]:
        return [seconds for seconds, _ in self.exchange("GET", "/healthz", None, count)]

    def exchange(self, method: str, path: str, body: str | None, count: int) -> list[tuple[float, Any]]:
        """Send a request again and again on one connection; return the seconds and the document of each. RuntimeError
        if one fails."""
        address = urlsplit(self.url)
        assert address.hostname
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
        answers: list[tuple[float, Any]] = []
        for _ in range(count):
            start_s = time.perf_counter()
            connection.request(method, path, body, self.headers)
            response = connection.getresponse()
            content = response.read()
            answers.append((time.perf_counter() - start_s, json.loads(content) if body else None))
            if response.status not in (200, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.FORBIDDEN):
                raise RuntimeError(f"the HTTP API answered {response.status}: {content[:500]!r}")
        connection.close()
        return answers


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("asks", nargs="?", type=int, default=1_000)
    parser.add_argument("--kafka", action="store_true")
    parser.add_argument("--rate", type=float, default=1_000, metavar="A_SECOND")
    arguments = parser.parse_args()
    main(arguments.asks, arguments.rate, arguments.kafka)
