"""Attacks on the HTTP API by one token, or without one, and on the warehouse by an analyst; each in its own process.

``python -m benchmarks.hostile ATTACK HOST PORT CREDENTIAL`` goes on until it is killed. The credential is a token, or
the analyst's password.
"""

import asyncio
import itertools
import json
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

MAX_BODY_BYTES = 4 << 20
Attack = Callable[["Target"], Coroutine[Any, Any, None]]


class Target:
    """The address of an HTTP server, and the attacker's credential."""

    def __init__(self, host: str, port: int, credential: str) -> None:
        self.host, self.port, self._credential = host, port, credential

    def build_statement(self, sql: str) -> bytes:
        """Build a request that sends a statement as an analyst."""
        lines = [
            "POST / HTTP/1.1", "Host: localhost", "Connection: close", "X-ClickHouse-User: analyst",
            f"X-ClickHouse-Key: {self._credential}", f"Content-Length: {len(sql.encode())}", "", sql,
        ]  # fmt: skip
        return "\r\n".join(lines).encode()

    def head(self, *extra_headers: str, authorized: bool = True) -> bytes:
        """Build the head of a request that sends events."""
        lines = ["POST /v1/events HTTP/1.1", "Host: localhost", "Content-Type: application/x-ndjson", *extra_headers]
        if authorized:
            lines.append(f"Authorization: Bearer {self._credential}")
        return "\r\n".join([*lines, "", ""]).encode()

    async def keep_connections(
        self, connections: int, act: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]
    ) -> None:
        """Act on many connections at once, and on a new one for each that closes."""

        async def act_repeatedly() -> None:
            while True:
                try:
                    reader, writer = await asyncio.open_connection(self.host, self.port)
                    try:
                        await act(reader, writer)
                    finally:
                        writer.transport.abort()
                except (OSError, asyncio.IncompleteReadError):
                    await asyncio.sleep(0.05)

        await asyncio.gather(*(act_repeatedly() for _ in range(connections)))


async def send_unfinished_heads(target: Target) -> None:
    """Send 1,100 heads without their end."""

    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(target.head()[:-2])
        await reader.read()

    await target.keep_connections(1_100, act)


async def send_unfinished_bodies(target: Target) -> None:
    """Send 64 bodies of 4 MB without their last byte."""

    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(target.head(f"Content-Length: {MAX_BODY_BYTES}") + b" " * (MAX_BODY_BYTES - 1))
        await writer.drain()
        await reader.read()

    await target.keep_connections(64, act)


async def send_dripping_bodies(target: Target) -> None:
    """Send 500 bodies, a byte a second each."""

    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(target.head("Content-Length: 1000"))
        while not reader.at_eof():
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(1)

    await target.keep_connections(500, act)


async def send_crumbs(target: Target) -> None:
    """Send 64 bodies in chunks of one byte."""

    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(target.head("Transfer-Encoding: chunked"))
        while not reader.at_eof():
            writer.write(b"1\r\n \r\n" * 10_000)
            await writer.drain()

    await target.keep_connections(64, act)


def _build_event(number: int) -> dict[str, Any]:
    data = {"model": "gpt-4o", "provider": "openai", "tokens": {"input": 10, "output": 5}, "session": f"s-{number}"}
    return {
        "specversion": "1.0", "id": f"{number}", "source": "hostile", "time": "2026-06-01T12:00:00Z",
        "type": "tallystick.inference.v1", "data": data,
    }  # fmt: skip


async def _send_batches(target: Target, make: Callable[[], bytes]) -> None:
    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = make()
        writer.write(target.head(f"Content-Length: {len(body)}", "Connection: close") + body)
        await writer.drain()
        await reader.read()

    await target.keep_connections(64, act)


async def send_greatest_batches(target: Target) -> None:
    """Send batches of 5,000 new events from 64 senders without a pause."""
    body = b"\n".join(json.dumps(_build_event(number)).encode() for number in range(5_000))
    batches = itertools.count()
    await _send_batches(target, lambda: body.replace(b'"source": "hostile"', b'"source": "hostile-%d"' % next(batches)))


async def send_refused_batches(target: Target) -> None:
    """Send batches of 4,000 events, each with only invalid fields, from 64 senders."""
    event = _build_event(0) | {"time": 1, "data": {f"field_{number}": "x" for number in range(40)} | {"latency_ms": -1}}
    body = b"\n".join([json.dumps(event).encode()] * 4_000)[:MAX_BODY_BYTES]
    await _send_batches(target, lambda: body)


async def send_long_events(target: Target) -> None:
    """Send batches of four events of the greatest size, full of unknown fields, from 64 senders."""
    event = _build_event(0) | {"data": {f"field_{number}": number for number in range(50_000)}}
    body = b"\n".join([json.dumps(event).encode()[: 1 << 20]] * 4)[:MAX_BODY_BYTES]
    await _send_batches(target, lambda: body)


async def send_requests(target: Target) -> None:
    """Send a request as soon as the last one is answered, on 256 connections of a token."""
    request = target.head("Content-Length: 2") + b"{}"

    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not reader.at_eof():
            writer.write(request)
            await reader.readuntil(b"}")

    await target.keep_connections(256, act)


async def send_unauthenticated_bodies(target: Target) -> None:
    """Send bodies of 4 MB without a token, on 256 connections."""

    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(target.head(f"Content-Length: {MAX_BODY_BYTES}", authorized=False) + b" " * MAX_BODY_BYTES)
        await writer.drain()
        await reader.read()

    await target.keep_connections(256, act)


async def _send_statements(target: Target, connections: int, *statements: str) -> None:
    turns = itertools.cycle(statements)

    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(target.build_statement(next(turns)))
        await writer.drain()
        while await reader.read(1 << 16):
            pass
        await asyncio.sleep(0.05)

    await target.keep_connections(connections, act)


async def send_costly_statements(target: Target) -> None:
    """Send 30 statements of an analyst that take all time, memory and disk that they get."""
    await _send_statements(
        target,
        30,
        "SELECT sum(sipHash64(number)) FROM numbers(1000000000000)",
        "SELECT groupArray(number) FROM numbers(100000000)",
        "SELECT number FROM numbers(20000000) ORDER BY sipHash64(number) LIMIT 1 FORMAT Null",
        "SELECT uniqExact(number) FROM numbers(100000000)",
        "SELECT count() FROM numbers(1000000) AS a, numbers(1000000) AS b WHERE a.number > sipHash64(b.number)",
        "SELECT sum(indexOf(range(199999), number + 1000000)) FROM numbers(1000000000)",
    )


async def send_long_searches(target: Target) -> None:
    """Send 30 statements of an analyst that search a long value for each element of another."""
    await _send_statements(
        target,
        30,
        "SELECT arrayMap(x -> indexOf(range(1000000), x), range(1000000))",
        "SELECT arraySum(arrayMap(x -> has(range(1000000), x + 1000000), range(1000000)))",
        "SELECT length(replaceRegexpAll(repeat('a', 1000000), 'a*b|a', ''))",
        "SELECT position(repeat('a', 1000000), concat(repeat('a', 500000), 'b'))",
    )


async def send_long_statements(target: Target) -> None:
    """Send 30 statements of an analyst that take long to read."""
    await _send_statements(target, 30, "SELECT " + "CASE WHEN 1 THEN " * 14_000, "SELECT 1" + " + 1" * 60_000)


async def request_large_answers(target: Target) -> None:
    """Request 30 answers as large as an analyst may get."""
    await _send_statements(target, 30, "SELECT number, hex(sipHash64(number)) FROM numbers(3000000) FORMAT JSONEachRow")


ANALYST_ATTACKS: dict[str, Attack] = {
    attack.__name__.partition("_")[2]: attack
    for attack in (send_costly_statements, send_long_searches, send_long_statements, request_large_answers)
}

ATTACKS: dict[str, Attack] = {
    attack.__name__.removeprefix("send_"): attack
    for attack in (
        send_unfinished_heads, send_unfinished_bodies, send_dripping_bodies, send_crumbs, send_greatest_batches,
        send_refused_batches, send_long_events, send_requests, send_unauthenticated_bodies,
    )
}  # fmt: skip


@contextmanager
def attacking(attack: str, url: str, credential: str) -> Iterator[None]:
    """Run an attack in another process."""
    address = urlsplit(url)
    command = [sys.executable, "-m", "benchmarks.hostile", attack, str(address.hostname), str(address.port), credential]
    with subprocess.Popen(command) as process:
        try:
            yield
        finally:
            process.kill()


if __name__ == "__main__":
    name, host, port, credential = sys.argv[1:]
    asyncio.run((ATTACKS | ANALYST_ATTACKS)[name](Target(host, int(port), credential)))
