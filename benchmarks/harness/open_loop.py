"""Requests that arrive at a rate, whether or not those before them are answered: so waiting in a queue counts.

``python -m benchmarks.harness.open_loop`` is a process of its own, so that its work is not the measured one's: it reads
a ``Load`` as JSON from its input, and writes the latencies as JSON. A request goes out on an idle connection, or waits
for one; its latency begins when it arrives.
"""

import asyncio
import json
import random
import statistics
import subprocess
import sys
import time
from collections import Counter, deque
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

DRAIN_TIMEOUT_S = 60


@dataclass(frozen=True)
class Load:
    """``bodies`` are sent in turns, at random moments from a seed. Arrivals of the first ``warm_up_s`` do not count."""

    url: str
    headers: dict[str, str]
    path: str
    bodies: list[str]
    per_second: float
    seconds: float
    connections: int = 64
    warm_up_s: float = 2.0


@dataclass(frozen=True)
class Latencies:
    """Seconds from each arrival to its answer, the answers by status, the requests that were answered in a second, and
    the generator's own lag: how late it noticed an arrival, at the 99th percentile."""

    seconds: list[float]
    statuses: dict[str, int]
    answered_per_s: float
    lag_p99_s: float

    def quantile(self, percent: int) -> float:
        return statistics.quantiles(self.seconds, n=100)[percent - 1]


def offer(load: Load) -> Latencies:
    """Offer a load from a process of its own. CalledProcessError where a connection breaks."""
    command = [sys.executable, "-m", "benchmarks.harness.open_loop"]
    generator = subprocess.run(command, input=json.dumps(asdict(load)), stdout=subprocess.PIPE, text=True, check=True)
    return Latencies(**json.loads(generator.stdout))


class _Connection(asyncio.Protocol):
    """A connection with one request under way at most."""

    def __init__(self, generator: "_Generator") -> None:
        self._generator = generator
        self._buffer = b""
        self._arrival_s = 0.0
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def send(self, request: bytes, arrival_s: float) -> None:
        self._arrival_s = arrival_s
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head_end = self._buffer.find(b"\r\n\r\n")
        if head_end < 0:
            return
        start = self._buffer.lower().index(b"content-length:") + len(b"content-length:")
        length = int(self._buffer[start : self._buffer.index(b"\r", start)])
        if len(self._buffer) < head_end + 4 + length:
            return
        status, self._buffer = self._buffer[9:12].decode(), b""
        self._generator.finish(self, status, self._arrival_s)

    def connection_lost(self, exc: Exception | None) -> None:
        self._generator.fail()


class _Generator:
    def __init__(self, load: Load) -> None:
        self._load = load
        address = urlsplit(load.url)
        self._host, self._port = address.hostname or "", address.port or 80
        head = f"POST {load.path} HTTP/1.1\r\nHost: {address.netloc}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in load.headers.items())
        self._requests = [f"{head}Content-Length: {len(body.encode())}\r\n\r\n{body}".encode() for body in load.bodies]
        self._idle: list[_Connection] = []
        self._waiting: deque[tuple[bytes, float]] = deque()
        self._seconds: list[float] = []
        self._lags: list[float] = []
        self._statuses: Counter[str] = Counter()
        self._counts_from_s = self._last_s = 0.0
        self._pending = 0
        self._done = asyncio.Event()
        self._is_over = self._is_broken = False

    async def run(self) -> Latencies:
        loop = asyncio.get_running_loop()
        for _ in range(self._load.connections):
            _, connection = await loop.create_connection(lambda: _Connection(self), self._host, self._port)
            self._idle.append(connection)
        chance = random.Random(1)
        arrival_s = time.perf_counter() + 0.1
        self._counts_from_s = arrival_s + self._load.warm_up_s
        end_s = self._counts_from_s + self._load.seconds
        number = 0
        while (arrival_s := arrival_s + chance.expovariate(self._load.per_second)) < end_s:
            if (delay_s := arrival_s - time.perf_counter()) > 0:
                await asyncio.sleep(delay_s)
            elif number % 16 == 0:
                await asyncio.sleep(0)  # answers are read meanwhile
            self._lags.append(time.perf_counter() - arrival_s)
            self._arrive(self._requests[number % len(self._requests)], arrival_s)
            number += 1
            if self._is_broken:
                raise ConnectionError("the server has closed a connection")
        self._is_over = True
        if self._pending:
            await asyncio.wait_for(self._done.wait(), DRAIN_TIMEOUT_S)
        spent_s = self._last_s - self._counts_from_s
        lag_s = statistics.quantiles(self._lags, n=100)[98]
        return Latencies(self._seconds, dict(self._statuses), len(self._seconds) / spent_s, lag_s)

    def _arrive(self, request: bytes, arrival_s: float) -> None:
        self._pending += 1
        if self._idle:
            self._idle.pop().send(request, arrival_s)
        else:
            self._waiting.append((request, arrival_s))

    def finish(self, connection: _Connection, status: str, arrival_s: float) -> None:
        self._last_s = time.perf_counter()
        self._pending -= 1
        if arrival_s >= self._counts_from_s:
            self._seconds.append(self._last_s - arrival_s)
            self._statuses[status] += 1
        if self._waiting:
            connection.send(*self._waiting.popleft())
        else:
            self._idle.append(connection)
        if self._is_over and not self._pending:
            self._done.set()

    def fail(self) -> None:
        self._is_broken = not self._is_over


if __name__ == "__main__":
    print(json.dumps(asdict(asyncio.run(_Generator(Load(**json.load(sys.stdin))).run()))))
