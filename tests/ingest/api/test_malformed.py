"""Whatever a sender sends: refused with its reason and counted, or let in; the server stays up, in bounded memory."""

import gzip
import json
import random
import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import psutil
import pytest
import zstandard

from ingest.api import body
from ledger.log import PARTITIONS, Record, records
from ledger.log.open import open_log
from ledger.log.topics import EVENTS, REJECTED, Topic
from ledger.organizations import PLATFORM
from tests.ingest.api.conftest import BATCH, JSON, NDJSON, Served, call

ABOVE_IDLE = 256 << 20
MARK = "MARKEDsecretMARK"
VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 1.5, 10**12 + 1, 10**30, "", MARK, "x" * 300, [], [MARK], {}, {MARK: MARK}, {"input": -1},
    {"input": MARK}, {"input": 10**13}, "NaN", "1e999", [[[[MARK]]]],
)  # fmt: skip
FIELDS = (
    "id", "source", "time", "type", "specversion", "sequence", "data", "data.model", "data.tokens", "data.team",
    "data.session", "data.latency_ms", "data.claimed_cost", "data.acting_for", "data.tags", "data.violations",
    "data.provider_usage", "data.quantities", f"data.{MARK}", MARK, "data.prompt_text", "data.messages",
)  # fmt: skip


def alter_event(chance: random.Random) -> bytes:
    """An event with one thing wrong, or one thing too much."""
    event = call(f"{chance.getrandbits(40)}")
    field, value = chance.choice(FIELDS), chance.choice(VALUES)
    inside = event["data"] if field.startswith("data.") else event
    inside[field.removeprefix("data.")] = value
    return json.dumps(event).encode()


def break_event(chance: random.Random) -> bytes:
    """Bytes of an event that are cut, doubled or turned."""
    raw = bytearray(alter_event(chance))
    for _ in range(chance.randint(1, 4)):
        offset = chance.randrange(len(raw))
        match chance.randrange(4):
            case 0:
                raw[offset] = chance.randrange(256)
            case 1:
                del raw[offset:]
            case 2:
                raw[offset:offset] = chance.randbytes(3)
            case _:
                raw[offset:offset] = raw[: chance.randrange(40)]
        if not raw:
            return b"\xff"
    return bytes(raw)


def odd(chance: random.Random) -> bytes:
    """Return bytes that are no event, and large or deep ones."""
    return chance.choice(
        (
            b"", b"null", b"[]", b'"x"', b"NaN", b"-", b"\xff\xfe", b"\xef\xbb\xbf{}", b"{" * 5000, b"[" * 5000,
            b'{"a":' * 3000 + b"1" + b"}" * 3000, b"1" * 5000, json.dumps({"data": {MARK * 10: 1}}).encode(),
            b'{"id":"\\ud800"}', b'{"id":"\\u0000"}', json.dumps(call("x", model="m" * 200_000)).encode(),
            b"[" + b"1," * 200_000 + b"1]",
        )
    )  # fmt: skip


def choose_body(chance: random.Random) -> bytes:
    return chance.choice((alter_event, alter_event, break_event, break_event, odd))(chance)


def send_any(api_server: Served, chance: random.Random) -> tuple[int, int, int]:
    """A request of one kind or another; its status, how many events it had, and how many of them were refused."""
    bodies = [choose_body(chance).replace(b"\n", b" ") for _ in range(chance.randint(1, 5))]
    bearer, kind, content, headers = api_server.bearer("write"), NDJSON, b"\n".join(bodies), {}
    match chance.randrange(12):
        case 0:
            kind, content = JSON, bodies[0]
        case 1:
            kind, content = BATCH, b"[" + b",".join(bodies) + b"]"
        case 2:
            content, headers = gzip.compress(content), {"Content_Encoding": "gzip"}
        case 3:
            content, headers = zstandard.compress(content)[: chance.randint(1, 99)], {"Content_Encoding": "zstd"}
        case 4:
            kind = chance.choice(("", "text/plain", "multipart/form-data", "application/json5"))
        case 5:
            bearer = chance.choice(("", MARK, "tally_x_y", api_server.bearer("read")))
        case 6:
            headers = {"Tally_Organization": chance.choice(("beta", MARK, "", PLATFORM))}
        case 7:
            content, headers = gzip.compress(bytes(20 << 20)), {"Content_Encoding": "gzip"}
    answer = api_server.send(content, kind, bearer, 60, **headers)
    answer_body = json.loads(answer.body)
    answer_body.pop("removed", None)  # the sender is told its own names, which are kept nowhere
    assert MARK not in json.dumps(answer_body) or answer.status == 403, answer_body
    if answer.status == 200:
        assert len(answer_body["results"]) == answer_body["accepted"] + answer_body["refused"]
        for result in answer_body["results"]:
            assert "reason" in result or {"partition", "offset", "event_index"} == result.keys()
        return 200, len(answer_body["results"]), answer_body["refused"]
    assert answer_body["detail"] and answer_body["status"] == answer.status
    return answer.status, 1, int(answer.status == 422)


def all_of(api_server: Served, topic: Topic) -> list[Record]:
    with closing(open_log(api_server.settings)) as log:
        stored = [record for number in range(PARTITIONS) for record in records(log, topic, number)]
    return [record for record in stored if record.headers.get("organization") != PLATFORM]


def count_refused(api_server: Served) -> int:
    return sum(int(record.headers["refused"]) for record in all_of(api_server, EVENTS))


@pytest.mark.parametrize(
    ("seed", "requests"), [(20261125, 150), pytest.param(7, 2000, marks=[pytest.mark.long, pytest.mark.timeout(1800)])]
)
def test_all_is_refused_with_its_reason_and_counted(api_server: Served, seed: int, requests: int) -> None:
    chance = random.Random(seed)
    assert api_server.process
    process = psutil.Process(api_server.process.pid)
    api_server.send(json.dumps(call("warm")).encode())
    idle, peak = process.memory_info().rss, 0
    before, refused = count_refused(api_server), 0
    for number in range(requests):
        status, _, bodies = send_any(api_server, chance)
        assert status in (200, 400, 401, 403, 413, 415, 422), (seed, number, status)
        refused += bodies
        peak = max(peak, process.memory_info().rss)
    assert api_server.process.poll() is None and api_server.ask("/healthz").status == 200
    assert count_refused(api_server) - before == refused > 0, seed
    assert peak - idle < ABOVE_IDLE, f"{(peak - idle) >> 20} MB above idle, seed {seed}"
    assert {record.headers["organization"] for record in all_of(api_server, EVENTS)} == {"acme"}


def test_nothing_of_it_is_on_a_log_or_in_a_file(api_server: Served) -> None:
    """After the requests above, and some that are let in with words that are left out."""
    for number in range(50):
        send_any(api_server, random.Random(number))
    answer_body = b"".join(record.value for record in all_of(api_server, REJECTED))
    assert b'"reason"' in answer_body
    for path in api_server.settings.home.rglob("*"):
        if path.name.startswith("persons.db"):
            continue  # it holds the names of persons in clear, and ``acting_for`` may have been let in with one
        assert not path.is_file() or MARK.encode() not in path.read_bytes(), path
    assert MARK.encode() not in api_server.ask("/metrics").body


def run_threads(count: int, work: Callable[[int], None]) -> None:
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_large_bodies_at_once_do_not_take_the_memory(api_server: Served) -> None:
    """Forty at a time of four megabytes, and bombs: bodies beyond the bound are answered 503."""
    assert api_server.process
    process = psutil.Process(api_server.process.pid)
    idle, peak, statuses = process.memory_info().rss, [0], []
    bodies = (
        b"[" + b"1," * (1 << 21) + b"1]",
        b"\n".join([json.dumps(call("x", model="m" * 200, team="t" * 200)).encode()] * 4500)[: body.MAX_BODY_BYTES],
        gzip.compress(b'{"a":' * (600 << 10)),
    )
    coding: tuple[dict[str, str], ...] = ({}, {}, {"Content_Encoding": "gzip"})

    def work(number: int) -> None:
        kind = number % 3
        try:
            answer = api_server.send(bodies[kind], BATCH if kind == 0 else NDJSON, timeout=120, **coding[kind])
            statuses.append(answer.status)
        except OSError:  # it hung up on what it does not read to its end
            statuses.append(0)
        peak[0] = max(peak[0], process.memory_info().rss)

    api_server.bearer("write")
    run_threads(40, work)
    assert len(statuses) == 40 and set(statuses) <= {0, 200, 400, 413, 503}
    assert peak[0] - idle < ABOVE_IDLE, f"{(peak[0] - idle) >> 20} MB above idle"
    assert api_server.ask("/healthz").status == 200


def test_slow_senders_keep_nobody_waiting(api_server: Served) -> None:
    address = (api_server.address.hostname, api_server.address.port)
    head = (
        f"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {api_server.bearer('write')}\r\n"
        f"Content-Type: {NDJSON}\r\nContent-Length: 1000\r\n\r\n"
    ).encode()
    slow = [socket.create_connection(address, timeout=60) for _ in range(100)]
    try:
        for number, connection in enumerate(slow):
            connection.sendall(head[: len(head) if number % 2 else number])
        time.sleep(0.2)
        assert api_server.send(json.dumps(call("beside")).encode()).status == 200
    finally:
        for connection in slow:
            connection.close()
