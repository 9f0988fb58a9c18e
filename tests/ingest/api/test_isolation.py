"""While one token, or somebody without one, does its worst, another's event is answered."""

import gzip
import json
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
import zstandard

from benchmarks.hostile import ATTACKS, attacking
from ingest.api import app, connections
from tests.ingest.api.conftest import JSON, NDJSON, Served, call, lines
from tests.tally.conftest import eventually

PATIENCE_S = 10
"""Generous: the machine of a test is shared. What is felt is measured by benchmarks/isolation.py."""
BODY = 4 << 20


def head(served: Served, *more: str, bearer: str | None = None) -> bytes:
    shown = served.bearer("write") if bearer is None else bearer
    said = [
        "POST /v1/events HTTP/1.1",
        "Host: localhost",
        f"Authorization: Bearer {shown}",
        f"Content-Type: {NDJSON}",
        *more,
    ]
    return "\r\n".join([*said, "", ""]).encode()


def opened(served: Served) -> socket.socket:
    return socket.create_connection((served.address.hostname or "", served.address.port or 0), timeout=60)


@contextmanager
def unfinished(served: Served, count: int, sent: bytes) -> Iterator[list[socket.socket]]:
    """Connections on which a request was begun."""
    with ExitStack() as stack:
        senders = [stack.enter_context(opened(served)) for _ in range(count)]
        for sender in senders:
            sender.sendall(sent)
        yield senders


def other_answered(served: Served, id: str) -> bool:
    bearer = served.bearer("write", organizations=("beta",))
    answer = served.send(json.dumps(call(id)).encode(), JSON, bearer, timeout=PATIENCE_S)
    return answer.status == 200 and answer.json()["refused"] == 0


def test_unfinished_bodies_of_one_token_take_no_room_of_others(served: Served) -> None:
    with unfinished(served, 12, head(served, f"Content-Length: {BODY}") + b" " * (BODY - 1)):
        assert other_answered(served, "beside bodies")
        assert "its token has as much under way" in served.send(b" " * BODY).json()["detail"]
    eventually(lambda: served.send(lines(call("after"))).status == 200)


def test_unfinished_heads_do_not_shut_the_door(served: Served) -> None:
    with unfinished(served, 1_100, head(served)[:-2]):
        assert other_answered(served, "beside heads")
        assert served.ask("/healthz", timeout=PATIENCE_S).status == 200


def test_connections_of_one_token_leave_those_of_others(served: Served) -> None:
    most = connections.MAX_TOKEN_CONNECTIONS
    with unfinished(served, most, head(served, "Content-Length: 9")):
        busy = served.send(lines(call("one more")))
        assert busy.status == 503 and f"{most} connections under way" in busy.json()["detail"]
        assert other_answered(served, "beside connections")


@pytest.mark.parametrize("attack", sorted(ATTACKS))
@pytest.mark.long
def test_whatever_one_does_another_is_answered(served: Served, attack: str) -> None:
    with attacking(attack, served.address.geturl(), served.bearer("write")):
        for number in range(40):
            assert other_answered(served, f"{attack} {number}"), number


def test_greatest_batches_of_one_token_keep_nobody_waiting(served: Served) -> None:
    with attacking("greatest_batches", served.address.geturl(), served.bearer("write")):
        for number in range(10):
            assert other_answered(served, f"beside batches {number}")


@pytest.mark.long
def test_what_is_left_unfinished_is_closed(served: Served) -> None:
    """A head, a second head on a connection, a body that drips, and a body that nobody asked for."""
    heads = (b"", b"GET /healthz HT", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /healthz HT")
    with ExitStack() as stack:
        for sent in heads:
            (sender,) = stack.enter_context(unfinished(served, 1, sent))
            assert closed(sender)
        (sender,) = stack.enter_context(unfinished(served, 1, head(served, "Content-Length: 99")))
        assert dripped(sender).startswith(b"HTTP/1.1 408")
        (sender,) = stack.enter_context(unfinished(served, 1, head(served, "Content-Length: 99", bearer="none")))
        assert dripped(sender).startswith(b"HTTP/1.1 401")


def closed(sender: socket.socket) -> bool:
    """Whether the door closes it within the socket's time, whatever it answers before."""
    try:
        while sender.recv(1 << 16):
            pass
    except TimeoutError:
        return False
    except ConnectionError:
        pass
    return True


def dripped(sender: socket.socket) -> bytes:
    """Send a byte at a time until the door closes, and return what it answered."""
    answer = b""
    sender.settimeout(0.5)
    for _ in range(2 * (app.BODY_S + 10)):
        try:
            sender.sendall(b" ")
            if not (piece := sender.recv(1 << 16)):
                return answer
            answer += piece
        except TimeoutError:
            continue
        except ConnectionError:
            return answer
    raise AssertionError("it was waited for")


def test_a_body_is_not_asked_for_before_its_token_is_known(served: Served) -> None:
    with unfinished(served, 1, head(served, "Content-Length: 9", "Expect: 100-continue", bearer="no")) as (sender,):
        assert sender.recv(1 << 16).startswith(b"HTTP/1.1 401")
    with unfinished(served, 1, head(served, "Content-Length: 9", "Expect: 100-continue")) as (sender,):
        assert sender.recv(1 << 16).startswith(b"HTTP/1.1 100")


def test_a_body_of_crumbs_is_refused(served: Served) -> None:
    crumbs = b"1\r\n \r\n" * (connections.FREE_CHUNKS + 1)
    with unfinished(served, 1, head(served, "Transfer-Encoding: chunked") + crumbs) as (sender,):
        assert sender.recv(1 << 16).startswith(b"HTTP/1.1 400")
    pieces = b"".join(b"%x\r\n%s\r\n" % (len(line), line) for line in [lines(call("p")) + b"\n"] * 200)
    with unfinished(served, 1, head(served, "Transfer-Encoding: chunked") + pieces + b"0\r\n\r\n") as (sender,):
        assert sender.recv(1 << 16).startswith(b"HTTP/1.1 200")


SKIPPABLE = struct.pack("<II", 0x184D2A50, 3) + b"any"
WHOLE: list[tuple[str, Callable[[bytes, bytes], bytes]]] = [
    ("zstd", lambda a, b: zstandard.compress(a) + zstandard.compress(b)),
    ("zstd", lambda a, b: SKIPPABLE + zstandard.compress(a) + SKIPPABLE + zstandard.compress(b) + SKIPPABLE),
    ("gzip", lambda a, b: gzip.compress(a) + gzip.compress(b)),
    ("X-Gzip", lambda a, b: gzip.compress(a + b)),
]


@pytest.mark.parametrize(("coding", "pack"), WHOLE)
def test_all_frames_of_a_body_are_read(served: Served, coding: str, pack: Callable[[bytes, bytes], bytes]) -> None:
    packed = pack(lines(call("frame 1")) + b"\n", lines(call("frame 2")))
    answer = served.send(packed, Content_Encoding=coding)
    assert answer.status == 200 and answer.json()["accepted"] == 2


@pytest.mark.parametrize("coding", ["deflate", "gzip, zstd", "gzip, gzip", "br", "", "<script>"])
def test_other_codings_are_refused(served: Served, coding: str) -> None:
    answer = served.send(gzip.compress(lines(call("no"))), Content_Encoding=coding)
    assert answer.status == 415 and b"<script>" not in answer.body


def test_no_answer_repeats_the_host(served: Served) -> None:
    """A redirect named the host that the request named, and so did the description."""
    host = "evil.example"
    for path in (
        "/v1/events/",
        "/healthz/",
        "/openapi.json",
        "/metrics/",
        "/v1/token/",
        "//evil.example/healthz",
        "/v1",
    ):
        answer = served.ask(path, X_Forwarded_Host=host)
        assert answer.status in (200, 404) and "location" not in answer.headers, path
        assert host.encode() not in answer.body or path.startswith("//"), path
        refused = served.ask(path, Host=host)
        assert refused.status == 421 and refused.headers["content-type"].startswith("text/plain"), path


@pytest.mark.parametrize("name", ["Authorization", "Content-Type", "Tally-Organization"])
def test_a_header_that_stands_twice_is_refused(served: Served, name: str) -> None:
    said = {"Authorization": f"Bearer {served.bearer('write')}", "Content-Type": NDJSON}
    with unfinished(served, 1, head(served, "Content-Length: 0", f"{name}: {said.get(name, 'acme')}")) as (sender,):
        expected = b"HTTP/1.1 200" if name == "Tally-Organization" else b"HTTP/1.1 400"
        assert sender.recv(1 << 16).startswith(expected)
