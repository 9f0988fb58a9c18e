"""Bounds of a request: its size, its encoding, its depth, its framing, its path and its head."""

import gzip
import socket

import pytest
import zstandard

from ingest.api import body
from tests.ingest.api.conftest import BATCH, JSON, NDJSON, Served, read_events


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"x" * (body.MAX_BODY_BYTES + 1), {}, 413),
        (b"{}\n" * (body.MAX_EVENTS + 1), {}, 413),
        (gzip.compress(bytes(100 << 20)), {"Content_Encoding": "gzip"}, 413),
        (zstandard.compress(bytes(100 << 20)), {"Content_Encoding": "zstd"}, 413),
        (b"[{}", {"kind": BATCH}, 400),
        (b"{}", {"Content_Encoding": "gzip"}, 400),
        (b"{}", {"Content_Encoding": "br"}, 415),
        (b"{}", {"kind": "text/html"}, 415),
    ],
)
def test_each_limit_has_its_own_answer(
    api_server: Served, content: bytes, headers: dict[str, str], status: int
) -> None:
    before = len(read_events(api_server))
    answer = api_server.send(content, **headers)  # type: ignore[arg-type]
    assert answer.status == status and answer.headers["content-type"] == "application/problem+json"
    assert len(read_events(api_server)) == before


@pytest.mark.parametrize("raw", [b"[" * 500_000, b'{"a":' * 200_000, b"[" * 900 + b"]" * 900, b'"' + b"x" * (2 << 20)])
def test_what_is_deep_or_long_is_refused_with_its_reason(api_server: Served, raw: bytes) -> None:
    answer = api_server.send(raw, JSON if raw.startswith(b"{") else NDJSON)
    assert answer.status in (200, 422)
    assert api_server.ask("/healthz").status == 200


def send_chunked_head(api_server: Served) -> socket.socket:
    """The head of a request whose body has no length."""
    connection = socket.create_connection((api_server.address.hostname, api_server.address.port), timeout=60)
    connection.sendall(
        f"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {api_server.bearer('write')}\r\n"
        f"Content-Type: {NDJSON}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    )
    return connection


def test_a_body_without_a_length_is_bounded_too(api_server: Served) -> None:
    with send_chunked_head(api_server) as connection:
        for _ in range(body.MAX_BODY_BYTES // 65536 + 1):
            connection.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 413")


@pytest.mark.long
def test_a_body_that_does_not_come_is_not_waited_for(api_server: Served) -> None:
    with send_chunked_head(api_server) as connection:
        connection.sendall(b"1\r\nx\r\n")
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize(
    "lengths", ["Content-Length: 5\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\ncontent-length: 0"]
)
def test_a_body_of_two_lengths_is_refused(api_server: Served, lengths: str) -> None:
    """RFC 9112, 6.1: a proxy that ends the body by the other length would take the rest for a request."""
    with socket.create_connection((api_server.address.hostname, api_server.address.port), timeout=30) as connection:
        head = f"POST /v1/events HTTP/1.1\r\nHost: localhost\r\n{lengths}\r\n\r\n"
        connection.sendall(f"{head}0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        received = b""
        while chunk := connection.recv(1 << 16):
            received += chunk
    assert received.startswith(b"HTTP/1.1 400") and b"not both (RFC 9112" in received
    assert received.count(b"HTTP/1.1") == 1, "the connection is closed, and what follows is no request"


@pytest.mark.parametrize("path", ["/nothing", "/%E2%80%AEx%0D%0A%1b[31m%E2%80%8B", "/" + "x" * 5_000])
def test_an_unknown_path_is_answered_escaped_and_short(api_server: Served, path: str) -> None:
    answer = api_server.ask(path)
    detail = answer.json()["detail"]
    assert answer.status == 404 and detail.startswith("No such path: GET '/")
    assert detail.isascii() and detail.isprintable() and len(detail) < 250


def test_a_head_without_an_end_is_cut(api_server: Served) -> None:
    with socket.create_connection(
        (api_server.address.hostname or "", api_server.address.port or 0), timeout=30
    ) as sender:
        sender.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n")
        with pytest.raises(OSError):
            for _ in range(1_000):
                sender.sendall(b"X-More: and more\r\n" * 10_000)
    assert api_server.ask("/healthz").status == 200
