"""Which names a server answers to, and what stands before every HTTP application."""

import asyncio
from ipaddress import IPv4Address
from typing import Any

import pytest
from pydantic import ValidationError

from ledger.http.guard import AsgiGuard, WsgiGuard
from ledger.http.host_check import AllowedHosts, describe_refusal, is_same_origin, parse_names
from ledger.settings import Settings

ANY, MINE = IPv4Address("0.0.0.0"), IPv4Address("10.0.0.7")
NAMED = AllowedHosts(names=frozenset({"tally.example.org", "10.9.9.9"}))


@pytest.mark.parametrize(
    "header",
    [
        "localhost", "LocalHost:8501", "localhost.", "localhost.:80", "127.0.0.1", "127.0.0.1:1", "127.9.9.9:65535",
        "[::1]", "[::1]:8501", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]:80", " localhost ",
    ],
)  # fmt: skip
def test_loopback_is_always_reached_by_its_own_names(header: str) -> None:
    for hosts in (AllowedHosts(), NAMED, AllowedHosts(ANY), AllowedHosts(MINE)):
        assert hosts.allow([header])


@pytest.mark.parametrize(
    "header",
    [
        "evil.example", "localhost.evil.example", "evil.localhost", "127.0.0.1.nip.io", "tally.example.org.evil.com",
        "", " ", ".", "localhost..", "localhost:", "localhost:port", "localhost:65536", "localhost:80:80", "::1",
        "[::1", "[127.0.0.1]", "[localhost]", "[::1%25lo]", "user@localhost", "localhost/", "localhost/@x",
        "localhost?x", "localhost#x", "http://localhost", "localhost,evil.example", "localhost evil.example",
        "lоcalhost", "localhost\u3002", "127.1", "2130706433", "0x7f.0.0.1", "127.0.0.1\nx", "0.0.0.0", "10.0.0.8",
        "[2001:db8::1]",
    ],
)  # fmt: skip
def test_another_name_is_refused_on_loopback_and_at_one_address(header: str) -> None:
    assert not AllowedHosts().allow([header])
    assert not AllowedHosts(MINE).allow([header])
    assert not NAMED.allow([header])


def test_there_must_be_exactly_one_host() -> None:
    assert not AllowedHosts().allow([])
    assert not AllowedHosts().allow(["localhost", "localhost"])
    assert (
        "no host" in describe_refusal([])
        and "several" in describe_refusal(["a", "b"])
        and "TALLY_HOSTS" in describe_refusal(["a"])
    )
    assert "<" not in describe_refusal(["\u202e\n"]) and "\u202e" not in describe_refusal(["\u202e"])


def test_names_that_the_operator_states_and_addresses_that_are_listened_on_are_answered_to() -> None:
    assert NAMED.allow(["Tally.Example.org.:443"]) and NAMED.allow(["10.9.9.9"])
    assert AllowedHosts(MINE).allow(["10.0.0.7:8501"])
    assert AllowedHosts(ANY).allow(["10.0.0.8:8501"]) and AllowedHosts(ANY).allow(["[2001:db8::1]"])
    assert not AllowedHosts(ANY).allow(["evil.example"]), "an address cannot be rebound; a name can"


@pytest.mark.parametrize(
    ("origin", "host", "same"),
    [
        ("http://localhost:8501", "localhost:8501", True),
        ("http://LOCALHOST:8501", "localhost.:8501", True),
        ("http://[::1]:8501", "[::1]:8501", True),
        ("https://tally.example.org", "tally.example.org", True),
        ("https://tally.example.org", "tally.example.org:443", True),
        ("http://localhost:9999", "localhost:8501", False),
        ("http://127.0.0.1:8501", "localhost:8501", False),
        ("http://localhost", "localhost:8501", False),
        ("https://localhost:8501.evil.example", "localhost:8501", False),
        ("null", "localhost:8501", False),
        ("", "localhost:8501", False),
        ("file://", "localhost:8501", False),
        ("chrome-extension://localhost:8501", "localhost:8501", False),
        ("http://localhost:8501/", "localhost:8501", False),
        ("http://user@localhost:8501", "localhost:8501", False),
    ],
)  # fmt: skip
def test_an_origin_is_the_same_with_its_port_alone(origin: str, host: str, same: bool) -> None:
    assert is_same_origin(origin, host) is same


@pytest.mark.parametrize("text", ["http://a.b", "a.b:80", "*.a.b", "a b", "a..b", "-a", "a/b", "a.b,ä.de", "x" * 64])
def test_what_is_no_name_is_refused_with_the_way_out(text: str) -> None:
    with pytest.raises(ValueError, match="without scheme and port"):
        parse_names(text)
    with pytest.raises(ValidationError):
        Settings(hosts=text)


def test_names_are_read_in_any_case_and_with_spaces() -> None:
    assert parse_names(" A.example. , b,10.0.0.1 ,, ") == {"a.example", "b", "10.0.0.1"}
    assert parse_names("") == frozenset()


async def _plain(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        return
    headers = [(b"x-frame-options", b"SAMEORIGIN")] if scope["path"] == "/own" else []
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"secret"})


def _ask(*hosts: str, kind: str = "http", path: str = "/") -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("nothing is read")

    scope = {"type": kind, "path": path, "headers": [(b"host", host.encode()) for host in hosts]}
    asyncio.run(AsgiGuard(_plain, AllowedHosts())(scope, receive, send))
    return sent


def test_an_asgi_application_is_reached_by_its_names_alone() -> None:
    start, body = _ask("localhost:1")
    assert start["status"] == 200 and body["body"] == b"secret"
    assert dict(start["headers"])[b"content-security-policy"].startswith(b"default-src 'none'")
    assert dict(_ask("localhost", path="/own")[0]["headers"])[b"x-frame-options"] == b"SAMEORIGIN"
    for hosts in (["evil.example"], [], ["localhost", "evil.example"]):
        start, body = _ask(*hosts)
        assert start["status"] == 421 and b"secret" not in body["body"]
        assert dict(start["headers"])[b"x-content-type-options"] == b"nosniff"
        assert _ask(*hosts, kind="websocket") == [{"type": "websocket.close", "code": 1008}]
    assert _ask("localhost", kind="websocket") == [{"type": "websocket.accept"}]


def test_a_wsgi_application_is_reached_by_its_names_alone() -> None:
    told: list[Any] = []

    def app(environ: dict[str, Any], start: Any) -> list[bytes]:
        start("200 OK", [("Content-Type", "text/plain")])
        return [b"secret"]

    guard = WsgiGuard(app, AllowedHosts())

    def start(status: str, headers: list[tuple[str, str]]) -> None:
        told[:] = [status, dict(headers)]

    assert guard({"HTTP_HOST": "localhost:1"}, start) == [b"secret"]
    assert told[0] == "200 OK" and told[1]["X-Frame-Options"] == "DENY"
    for environ in ({}, {"HTTP_HOST": "evil.example"}, {"HTTP_HOST": "localhost,evil.example"}):
        assert b"secret" not in b"".join(guard(environ, start))
        assert told[0].startswith("421 ") and "Content-Security-Policy" in told[1]
