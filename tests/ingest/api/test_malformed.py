"""Whatever a sender sends: refused with its reason and counted, or let in; the door stays up, in bounded memory."""

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


def altered(chance: random.Random) -> bytes:
    """An event with one thing wrong, or one thing too much."""
    event = call(f"{chance.getrandbits(40)}")
    where, value = chance.choice(FIELDS), chance.choice(VALUES)
    inside = event["data"] if where.startswith("data.") else event
    inside[where.removeprefix("data.")] = value
    return json.dumps(event).encode()


def broken(chance: random.Random) -> bytes:
    """Bytes of an event that are cut, doubled or turned."""
    raw = bytearray(altered(chance))
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(raw))
        match chance.randrange(4):
            case 0:
                raw[at] = chance.randrange(256)
            case 1:
                del raw[at:]
            case 2:
                raw[at:at] = chance.randbytes(3)
            case _:
                raw[at:at] = raw[: chance.randrange(40)]
        if not raw:
            return b"\xff"
    return bytes(raw)


def odd(chance: random.Random) -> bytes:
    """What is no event, and what is large or deep."""
    return chance.choice(
        (
            b"", b"null", b"[]", b'"x"', b"NaN", b"-", b"\xff\xfe", b"\xef\xbb\xbf{}", b"{" * 5000, b"[" * 5000,
            b'{"a":' * 3000 + b"1" + b"}" * 3000, b"1" * 5000, json.dumps({"data": {MARK * 10: 1}}).encode(),
            b'{"id":"\\ud800"}', b'{"id":"\\u0000"}', json.dumps(call("x", model="m" * 200_000)).encode(),
            b"[" + b"1," * 200_000 + b"1]",
        )
    )  # fmt: skip


def one(chance: random.Random) -> bytes:
    return chance.choice((altered, altered, broken, broken, odd))(chance)


def sent(served: Served, chance: random.Random) -> tuple[int, int, int]:
    """A request of one kind or another; its status, how many events it had, and how many of them were refused."""
    some = [one(chance).replace(b"\n", b" ") for _ in range(chance.randint(1, 5))]
    bearer, kind, content, headers = served.bearer("write"), NDJSON, b"\n".join(some), {}
    match chance.randrange(12):
        case 0:
            kind, content = JSON, some[0]
        case 1:
            kind, content = BATCH, b"[" + b",".join(some) + b"]"
        case 2:
            content, headers = gzip.compress(content), {"Content_Encoding": "gzip"}
        case 3:
            content, headers = zstandard.compress(content)[: chance.randint(1, 99)], {"Content_Encoding": "zstd"}
        case 4:
            kind = chance.choice(("", "text/plain", "multipart/form-data", "application/json5"))
        case 5:
            bearer = chance.choice(("", MARK, "tally_x_y", served.bearer("read")))
        case 6:
            headers = {"Tally_Organization": chance.choice(("beta", MARK, "", PLATFORM))}
        case 7:
            content, headers = gzip.compress(bytes(20 << 20)), {"Content_Encoding": "gzip"}
    answer = served.send(content, kind, bearer, 60, **headers)
    told = json.loads(answer.body)
    told.pop("removed", None)  # the sender is told its own names, which are kept nowhere
    assert MARK not in json.dumps(told) or answer.status == 403, told
    if answer.status == 200:
        assert len(told["results"]) == told["accepted"] + told["refused"]
        for result in told["results"]:
            assert "reason" in result or {"partition", "offset", "event_index"} == result.keys()
        return 200, len(told["results"]), told["refused"]
    assert told["detail"] and told["status"] == answer.status
    return answer.status, 1, int(answer.status == 422)


def all_of(served: Served, topic: Topic) -> list[Record]:
    with closing(open_log(served.settings)) as log:
        found = [record for number in range(PARTITIONS) for record in records(log, topic, number)]
    return [record for record in found if record.headers.get("organization") != PLATFORM]


def refused_on_log(served: Served) -> int:
    return sum(int(record.headers["refused"]) for record in all_of(served, EVENTS))


@pytest.mark.parametrize(
    ("seed", "requests"), [(20261125, 150), pytest.param(7, 2000, marks=[pytest.mark.long, pytest.mark.timeout(1800)])]
)
def test_all_is_refused_with_its_reason_and_counted(served: Served, seed: int, requests: int) -> None:
    chance = random.Random(seed)
    assert served.process
    process = psutil.Process(served.process.pid)
    served.send(json.dumps(call("warm")).encode())
    idle, most = process.memory_info().rss, 0
    before, refused = refused_on_log(served), 0
    for number in range(requests):
        status, _, some = sent(served, chance)
        assert status in (200, 400, 401, 403, 413, 415, 422), (seed, number, status)
        refused += some
        most = max(most, process.memory_info().rss)
    assert served.process.poll() is None and served.ask("/healthz").status == 200
    assert refused_on_log(served) - before == refused > 0, seed
    assert most - idle < ABOVE_IDLE, f"{(most - idle) >> 20} MB above idle, seed {seed}"
    assert {record.headers["organization"] for record in all_of(served, EVENTS)} == {"acme"}


def test_nothing_of_it_is_on_a_log_or_in_a_file(served: Served) -> None:
    """After the requests above, and some that are let in with words that are left out."""
    for number in range(50):
        sent(served, random.Random(number))
    told = b"".join(record.value for record in all_of(served, REJECTED))
    assert b'"reason"' in told
    for path in served.settings.home.rglob("*"):
        assert not path.is_file() or MARK.encode() not in path.read_bytes(), path
    assert MARK.encode() not in served.ask("/metrics").body


def many(count: int, work: Callable[[int], None]) -> None:
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_large_bodies_at_once_do_not_take_the_memory(served: Served) -> None:
    """Forty at a time of four megabytes, and bombs: what is beyond the bound is told to come again."""
    assert served.process
    process = psutil.Process(served.process.pid)
    idle, most, statuses = process.memory_info().rss, [0], []
    bodies = (
        b"[" + b"1," * (1 << 21) + b"1]",
        b"\n".join([json.dumps(call("x", model="m" * 200, team="t" * 200)).encode()] * 4500)[: body.MAX_BODY],
        gzip.compress(b'{"a":' * (600 << 10)),
    )
    coding: tuple[dict[str, str], ...] = ({}, {}, {"Content_Encoding": "gzip"})

    def work(number: int) -> None:
        kind = number % 3
        try:
            answer = served.send(bodies[kind], BATCH if kind == 0 else NDJSON, timeout=120, **coding[kind])
            statuses.append(answer.status)
        except OSError:  # it hung up on what it does not read to its end
            statuses.append(0)
        most[0] = max(most[0], process.memory_info().rss)

    served.bearer("write")
    many(40, work)
    assert len(statuses) == 40 and set(statuses) <= {0, 200, 400, 413, 503}
    assert most[0] - idle < ABOVE_IDLE, f"{(most[0] - idle) >> 20} MB above idle"
    assert served.ask("/healthz").status == 200


def test_slow_senders_keep_nobody_waiting(served: Served) -> None:
    address = (served.address.hostname, served.address.port)
    head = (
        f"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {served.bearer('write')}\r\n"
        f"Content-Type: {NDJSON}\r\nContent-Length: 1000\r\n\r\n"
    ).encode()
    slow = [socket.create_connection(address, timeout=60) for _ in range(100)]
    try:
        for number, connection in enumerate(slow):
            connection.sendall(head[: len(head) if number % 2 else number])
        time.sleep(0.2)
        assert served.send(json.dumps(call("beside")).encode()).status == 200
    finally:
        for connection in slow:
            connection.close()
