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


def head(api_server: Served, *header_lines: str, bearer: str | None = None) -> bytes:
    bearer_token = api_server.bearer("write") if bearer is None else bearer
    head_lines = [
        "POST /v1/events HTTP/1.1",
        "Host: localhost",
        f"Authorization: Bearer {bearer_token}",
        f"Content-Type: {NDJSON}",
        *header_lines,
    ]
    return "\r\n".join([*head_lines, "", ""]).encode()


def open_connection(api_server: Served) -> socket.socket:
    return socket.create_connection((api_server.address.hostname or "", api_server.address.port or 0), timeout=60)


@contextmanager
def unfinished(api_server: Served, count: int, start: bytes) -> Iterator[list[socket.socket]]:
    """Connections on which a request was begun."""
    with ExitStack() as stack:
        senders = [stack.enter_context(open_connection(api_server)) for _ in range(count)]
        for sender in senders:
            sender.sendall(start)
        yield senders


def other_answered(api_server: Served, id: str) -> bool:
    bearer = api_server.bearer("write", organizations=("beta",))
    answer = api_server.send(json.dumps(call(id)).encode(), JSON, bearer, timeout=PATIENCE_S)
    return answer.status == 200 and answer.json()["refused"] == 0


def test_unfinished_bodies_of_one_token_take_no_room_of_others(api_server: Served) -> None:
    with unfinished(api_server, 12, head(api_server, f"Content-Length: {BODY}") + b" " * (BODY - 1)):
        assert other_answered(api_server, "beside bodies")
        assert "this token has its share of bytes under way" in api_server.send(b" " * BODY).json()["detail"]
    eventually(lambda: api_server.send(lines(call("after"))).status == 200)


def test_unfinished_heads_do_not_shut_the_api(api_server: Served) -> None:
    with unfinished(api_server, 1_100, head(api_server)[:-2]):
        assert other_answered(api_server, "beside heads")
        assert api_server.ask("/healthz", timeout=PATIENCE_S).status == 200


def test_connections_of_one_token_leave_those_of_others(api_server: Served) -> None:
    count = connections.MAX_TOKEN_CONNECTIONS
    with unfinished(api_server, count, head(api_server, "Content-Length: 9")):
        busy = api_server.send(lines(call("one more")))
        assert busy.status == 503 and f"{count} connections under way" in busy.json()["detail"]
        assert other_answered(api_server, "beside connections")


@pytest.mark.parametrize("attack", sorted(ATTACKS))
@pytest.mark.long
def test_whatever_one_does_another_is_answered(api_server: Served, attack: str) -> None:
    with attacking(attack, api_server.address.geturl(), api_server.bearer("write")):
        for number in range(40):
            assert other_answered(api_server, f"{attack} {number}"), number


def test_greatest_batches_of_one_token_keep_nobody_waiting(api_server: Served) -> None:
    with attacking("greatest_batches", api_server.address.geturl(), api_server.bearer("write")):
        for number in range(10):
            assert other_answered(api_server, f"beside batches {number}")


@pytest.mark.long
def test_what_is_left_unfinished_is_closed(api_server: Served) -> None:
    """A head, a second head on a connection, a body that drips, and a body that nobody asked for."""
    heads = (b"", b"GET /healthz HT", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /healthz HT")
    with ExitStack() as stack:
        for start in heads:
            (sender,) = stack.enter_context(unfinished(api_server, 1, start))
            assert closed(sender)
        (sender,) = stack.enter_context(unfinished(api_server, 1, head(api_server, "Content-Length: 99")))
        assert drip(sender).startswith(b"HTTP/1.1 408")
        (sender,) = stack.enter_context(
            unfinished(api_server, 1, head(api_server, "Content-Length: 99", bearer="none"))
        )
        assert drip(sender).startswith(b"HTTP/1.1 401")


def closed(sender: socket.socket) -> bool:
    """Tell whether the server closes it within the socket's time, whatever it answers before."""
    try:
        while sender.recv(1 << 16):
            pass
    except TimeoutError:
        return False
    except ConnectionError:
        pass
    return True


def drip(sender: socket.socket) -> bytes:
    """Send a byte at a time until the server closes, and return what it answered."""
    answer = b""
    sender.settimeout(0.5)
    for _ in range(2 * (app.BODY_TIMEOUT_S + 10)):
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


def test_a_body_is_not_asked_for_before_its_token_is_known(api_server: Served) -> None:
    with unfinished(api_server, 1, head(api_server, "Content-Length: 9", "Expect: 100-continue", bearer="no")) as (
        sender,
    ):
        assert sender.recv(1 << 16).startswith(b"HTTP/1.1 401")
    with unfinished(api_server, 1, head(api_server, "Content-Length: 9", "Expect: 100-continue")) as (sender,):
        assert sender.recv(1 << 16).startswith(b"HTTP/1.1 100")


def test_a_body_of_crumbs_is_refused(api_server: Served) -> None:
    crumbs = b"1\r\n \r\n" * (connections.FREE_CHUNKS + 1)
    with unfinished(api_server, 1, head(api_server, "Transfer-Encoding: chunked") + crumbs) as (sender,):
        assert sender.recv(1 << 16).startswith(b"HTTP/1.1 400")
    pieces = b"".join(b"%x\r\n%s\r\n" % (len(line), line) for line in [lines(call("p")) + b"\n"] * 200)

    def is_accepted() -> bool:
        """False where the server is still busy with what the test before has sent."""
        chunked = head(api_server, "Transfer-Encoding: chunked") + pieces + b"0\r\n\r\n"
        with unfinished(api_server, 1, chunked) as (sender,):
            status = sender.recv(1 << 16)[: len(b"HTTP/1.1 200")]
        assert status in (b"HTTP/1.1 200", b"HTTP/1.1 503"), status
        return status == b"HTTP/1.1 200"

    eventually(is_accepted)


SKIPPABLE = struct.pack("<II", 0x184D2A50, 3) + b"any"
WHOLE_BODIES: list[tuple[str, Callable[[bytes, bytes], bytes]]] = [
    ("zstd", lambda a, b: zstandard.compress(a) + zstandard.compress(b)),
    ("zstd", lambda a, b: SKIPPABLE + zstandard.compress(a) + SKIPPABLE + zstandard.compress(b) + SKIPPABLE),
    ("gzip", lambda a, b: gzip.compress(a) + gzip.compress(b)),
    ("X-Gzip", lambda a, b: gzip.compress(a + b)),
]


@pytest.mark.parametrize(("coding", "pack"), WHOLE_BODIES)
def test_all_frames_of_a_body_are_read(api_server: Served, coding: str, pack: Callable[[bytes, bytes], bytes]) -> None:
    packed = pack(lines(call("frame 1")) + b"\n", lines(call("frame 2")))
    answer = api_server.send(packed, Content_Encoding=coding)
    assert answer.status == 200 and answer.json()["accepted"] == 2


@pytest.mark.parametrize("coding", ["deflate", "gzip, zstd", "gzip, gzip", "br", "", "<script>"])
def test_other_codings_are_refused(api_server: Served, coding: str) -> None:
    answer = api_server.send(gzip.compress(lines(call("no"))), Content_Encoding=coding)
    assert answer.status == 415 and b"<script>" not in answer.body


def test_no_answer_repeats_the_host(api_server: Served) -> None:
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
        answer = api_server.ask(path, X_Forwarded_Host=host)
        assert answer.status in (200, 404) and "location" not in answer.headers, path
        assert host.encode() not in answer.body or path.startswith("//"), path
        refused = api_server.ask(path, Host=host)
        assert refused.status == 421 and refused.headers["content-type"].startswith("text/plain"), path


@pytest.mark.parametrize("name", ["Authorization", "Content-Type", "Tally-Organization"])
def test_a_header_that_stands_twice_is_refused(api_server: Served, name: str) -> None:
    head_lines = {"Authorization": f"Bearer {api_server.bearer('write')}", "Content-Type": NDJSON}
    with unfinished(
        api_server, 1, head(api_server, "Content-Length: 0", f"{name}: {head_lines.get(name, 'acme')}")
    ) as (sender,):
        expected = b"HTTP/1.1 200" if name == "Tally-Organization" else b"HTTP/1.1 400"
        assert sender.recv(1 << 16).startswith(expected)
