"""The HTTP API's rate of validated, durable events, against pydantic alone on the same bytes.

``python -m benchmarks.ingest [EVENTS]``. In turns, several times: this process validates every event, and then sends
all of them to an API of its own, 500 in a request, one request after the other, each answered once it is durable; then
a part of them one by one, on 16 connections. The API's rate is measured by the clock, and by its processor time: its
rate on a core of its own.
"""

import http.client
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import psutil

from benchmarks.harness import workload
from ledger.home.presence import find_presence
from ledger.home.tokens import create_token
from ledger.settings import Settings
from tally.processes.join import using
from tally.processes.service import API
from tally.session import opened
from tallystick import ANY_EVENT

ROUNDS = 5
EVENTS_PER_REQUEST, CONNECTIONS = 500, 16


class Rates(NamedTuple):
    """Events a second by the clock, and by the processor time of the process that worked."""

    clock: float
    processor: float


def main(events: int = 20_000) -> None:
    _, *calls = workload.build_records(events)
    lines = [line for record in calls for line in record.value.split(b"\n")]
    measured: dict[str, list[Rates]] = {
        "pydantic alone": [],
        f"{EVENTS_PER_REQUEST} a request": [],
        "one a request": [],
    }
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder), api_port=0)
        with opened(settings, new=True), using(settings, API, exclusive=True):
            api = find_presence(settings.home, API.name)
            assert api
            client, process = _Client(api["url"], create_token(settings.home, ["acme"], ["write"])[1]), psutil.Process()
            api_process = psutil.Process(api["pid"])
            batches = [
                b"\n".join(lines[start : start + EVENTS_PER_REQUEST])
                for start in range(0, len(lines), EVENTS_PER_REQUEST)
            ]
            single_events = lines[: len(lines) // 10]
            for _ in range(ROUNDS):
                pydantic_rates, batch_rates, single_rates = measured.values()
                pydantic_rates.append(
                    _measure_rates(process, len(lines), lambda: [ANY_EVENT.validate_json(line) for line in lines])
                )
                batch_rates.append(_measure_rates(api_process, len(lines), lambda: client.send(batches)))
                single_rates.append(
                    _measure_rates(api_process, len(single_events), lambda: client.send_from_many(single_events))
                )
    _print_rates(lines, measured)


class _Client:
    def __init__(self, url: str, bearer: str) -> None:
        self._address = urlsplit(url)
        self._headers = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/x-ndjson"}

    def send(self, bodies: list[bytes]) -> None:
        """Send requests one after the other, on one connection. RuntimeError where events are refused."""
        assert self._address.hostname
        connection = http.client.HTTPConnection(self._address.hostname, self._address.port, timeout=60)
        for body in bodies:
            connection.request("POST", "/v1/events", body, self._headers)
            response = connection.getresponse()
            answer = response.read()
            if response.status != 200 or b'"refused":0' not in answer:
                raise RuntimeError(f"the HTTP API answered {response.status}: {answer[:500]!r}")
        connection.close()

    def send_from_many(self, bodies: list[bytes]) -> None:
        with ThreadPoolExecutor(CONNECTIONS) as senders:
            list(senders.map(self.send, [bodies[start::CONNECTIONS] for start in range(CONNECTIONS)]))


def _measure_rates(worker: psutil.Process, events: int, work: object) -> Rates:
    assert callable(work)
    cpu, clock = sum(worker.cpu_times()[:2]), time.perf_counter()
    work()
    return Rates(events / (time.perf_counter() - clock), events / (sum(worker.cpu_times()[:2]) - cpu))


def _print_rates(lines: list[bytes], measured: dict[str, list[Rates]]) -> None:
    print(f"{len(lines):,} events of {sum(map(len, lines)) // len(lines)} bytes, {ROUNDS} rounds, medians")
    print(f"{'':20} {'events/s':>10} {'of pydantic':>12} {'events/s of its processor':>28} {'of pydantic':>12}")
    pydantic_rates = measured["pydantic alone"]
    for name, rates in measured.items():
        figures = [statistics.median(getattr(rate, kind) for rate in rates) for kind in Rates._fields]
        ratios = [
            statistics.median(
                getattr(rate, kind) / getattr(pydantic_rate, kind)
                for rate, pydantic_rate in zip(rates, pydantic_rates, strict=True)
            )
            for kind in Rates._fields
        ]
        print(f"{name:20} {figures[0]:10,.0f} {ratios[0]:12.3f} {figures[1]:28,.0f} {ratios[1]:12.3f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
