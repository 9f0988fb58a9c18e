"""Whatever a client sends, the front answers with what is wrong (4xx) and stays up."""

import random
import socket

import pytest

from tests.warehouse.conftest import Front
from tests.warehouse.requests import as_writer

KINDS = ("text/plain", "multipart/form-data", "multipart/form-data; boundary=a", "multipart/mixed; boundary=a")
NAMES = ("query", "readonly", "default_format", "query_id", "database", "param_x", "compress", "max_threads", "%00", "")
VALUES = ("1", "SELECT+1", "-1", "%FF", "a%0D%0AX:+y", "x" * 500, "%27", "{x:UInt8}", "", "\\", "%E2%98%83")
CODINGS = ("gzip", "zstd", "lz4", "br", "", "identity")


def altered(chance: random.Random, raw: bytes) -> bytes:
    """The bytes, with one of them turned, cut out, or some put in."""
    place = chance.randrange(len(raw))
    return chance.choice((raw, raw, raw[:place] + chance.randbytes(2) + raw[place:], raw[:place] + raw[place + 1 :]))


def malformed(chance: random.Random, front: Front) -> bytes:
    who = chance.choice((front.facts, front.facts["analyst"], {"user": "x", "password": "y"}))
    query = "&".join(f"{chance.choice(NAMES)}={chance.choice(VALUES)}" for _ in range(chance.randrange(4)))
    body = altered(chance, b'--a\r\nContent-Disposition: form-data; name="query"\r\n\r\nSELECT 1\r\n--a--')
    body = chance.choice((body, b"", b"SELECT 1", chance.randbytes(50)))
    method = chance.choice(("GET", "POST", "POST", "HEAD", "PUT", "get", "\x00"))
    head = (
        f"{method} /?{query} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-ClickHouse-User: {who['user']}\r\n"
        f"X-ClickHouse-Key: {who['password']}\r\nContent-Type: {chance.choice(KINDS)}\r\n"
        f"Content-Encoding: {chance.choice(CODINGS)}\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    return altered(chance, head) + body


def test_a_body_of_two_lengths_is_refused(front: Front) -> None:
    """RFC 9112, 6.1: a proxy that ends the body by the other length would take the rest for a request."""
    with socket.create_connection(("127.0.0.1", front.facts["port"]), timeout=60) as connection:
        lengths = "Content-Length: 5\r\nTransfer-Encoding: chunked"
        connection.sendall(f"POST / HTTP/1.1\r\nHost: localhost\r\n{lengths}\r\n\r\n0\r\n\r\nGET /ping".encode())
        received = connection.makefile("rb").read()
    assert received.startswith(b"HTTP/1.1 400") and b"not both (RFC 9112" in received


@pytest.mark.parametrize(
    ("seed", "requests"),
    [(20261129, 150), pytest.param(7, 10_000, marks=[pytest.mark.long, pytest.mark.timeout(3600)])],
)
def test_all_is_answered_with_what_is_wrong(front: Front, seed: int, requests: int) -> None:
    chance = random.Random(seed)
    for number in range(requests):
        with socket.create_connection(("127.0.0.1", front.facts["port"]), timeout=60) as connection:
            connection.sendall(malformed(chance, front))
            connection.shutdown(socket.SHUT_WR)
            line = connection.makefile("rb").readline()
        assert not line or line.split()[1][:1] in (b"2", b"4") or line.split()[1] == b"501", (seed, number, line)
    assert front.process.poll() is None and as_writer(front, "SELECT 1").text == "1\n"
