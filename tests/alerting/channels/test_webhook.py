"""Receivers that do their worst: each delivery ends within its deadline, within its bytes, and waits on no other."""

import asyncio
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from alerting import retry_schedule
from alerting.channels import http, transport
from alerting.channels.network import Network
from alerting.channels.transport import deliver, send
from alerting.messages import create_test_message
from alerting.retry_schedule import MAX_CONCURRENT, MAX_CONCURRENT_SLOW, TurnOrder
from alerting.routes import Route, mask_address
from alerting.wording import Context
from tests.alerting.channels.hostile import HostileReceiver, drip
from tests.alerting.conftest import Receiver, Telling
from tests.tally.conftest import eventually, invoke

TRIAL = create_test_message("acme", "test-1", 0)
SECRET = "whsec_AAAA"


def flood(connection: socket.socket, first: bytes, again: bytes) -> None:
    connection.sendall(first)
    while True:
        connection.sendall(again * 1_000)


def take_request(connection: socket.socket) -> None:
    """Read it to its end: who closes with something unread resets the connection, and the answer may be lost."""
    request = b""
    while not request.endswith(b"}"):
        request += connection.recv(65536)


def accept_and_never_read(connection: socket.socket) -> None:
    time.sleep(60)


def never_ending(connection: socket.socket) -> None:
    """Answer, and send its body in chunks for ever."""
    take_request(connection)
    flood(connection, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"5\r\nhello\r\n")


def dripping_body(connection: socket.socket) -> None:
    take_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    drip(connection, b"x")


def redirecting(connection: socket.socket) -> None:
    """Send whoever comes to itself, again and again."""
    take_request(connection)
    connection.sendall(b"HTTP/1.1 307 Go on\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n")


HOSTILE: dict[str, tuple[Callable[[socket.socket], None], str, str]] = {
    "drips headers": (lambda c: drip(c, b"HTTP/1.1 200 OK\r\n"), "http", "no answer within"),
    "drips one header": (lambda c: drip(c, b"a"), "http", "no answer within"),
    "drips a handshake": (lambda c: drip(c, b"\x16\x03\x03\x3f\xff"), "https", "no answer"),
    "never shakes hands": (accept_and_never_read, "https", "no answer within"),
    "never reads": (accept_and_never_read, "http", "no answer within"),
    "goes on with 100": (lambda c: flood(c, b"", b"HTTP/1.1 100 Continue\r\n\r\n"), "http", "ResponseTooLarge"),
    "goes on with 103": (lambda c: flood(c, b"", b"HTTP/1.1 103 Early\r\na: b\r\n\r\n"), "http", "ResponseTooLarge"),
    "sends one enormous header": (lambda c: flood(c, b"HTTP/1.1 200 OK\r\na: ", b"x"), "http", "ResponseTooLarge"),
    "sends endless headers": (lambda c: flood(c, b"HTTP/1.1 200 OK\r\n", b"a: b\r\n"), "http", "ResponseTooLarge"),
    "sends what is no HTTP": (lambda c: flood(c, b"", b"\0\x1b[2J"), "http", "no answer ("),
    "floods a handshake": (lambda c: flood(c, b"", b"\x16\x03\x03\x00\x04\x01\x00\x00\x00"), "https", "no answer ("),
    "redirects for ever": (redirecting, "http", "HTTP 307"),
    "drips a body": (dripping_body, "http", "HTTP 200"),
    "sends a body for ever": (never_ending, "http", "HTTP 200"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_delivery_ends_whatever_its_receiver_does(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its deadline is one second here, and the receiver goes on until it is closed: an answer shows that nothing waits
    for it."""
    behave, scheme, said = HOSTILE[name]
    monkeypatch.setattr(transport, "DEADLINE_S", 1.0)
    receiver = HostileReceiver(behave, scheme)
    answer = send(Route("r", "acme", "webhook", receiver.url, SECRET, 0), TRIAL, Context())
    receiver.close()
    assert said in answer.status and answer.delivered == (said == "HTTP 200"), answer
    assert receiver.connections == 1 and "/hook" not in answer.status


def test_a_name_whose_lookup_hangs_ends_with_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its thread goes on, and is known to: the line keeps its place until then."""
    release = threading.Event()
    monkeypatch.setattr(transport, "DEADLINE_S", 0.5)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [release.wait(60)][1:])
    network = Network(0.5)
    answer = asyncio.run(
        deliver(Route("r", "acme", "webhook", "http://hangs.example/hook", SECRET, 0), TRIAL, Context(), network)
    )
    assert answer.status.startswith("no answer within") and network.is_looking_up()
    release.set()
    eventually(lambda: not network.is_looking_up())


@pytest.mark.parametrize("host", ["a..b", "no-such-host.invalid", "[::1]:1", "127.0.0.1:1", "x" * 64])
def test_a_host_that_is_none_is_an_answer(host: str) -> None:
    answer = send(Route("r", "acme", "webhook", f"http://{host}/secret", SECRET, 0), TRIAL, Context())
    assert not answer.delivered and answer.status.startswith("no answer (") and "secret" not in answer.status


def test_a_user_in_the_address_is_authorization(receiver: Receiver) -> None:
    url = receiver.url.replace("http://", "http://me:p%40ss@")
    assert send(Route("r", "acme", "slack", url, SECRET, 0), TRIAL, Context()).delivered
    assert httpx.BasicAuth("me", "p@ss")._auth_header == receiver.taken[0][0]["authorization"]


def test_a_proxy_of_the_environment_is_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", receiver.url.removesuffix("/hook"))
    hook = Route("r", "acme", "webhook", "http://elsewhere.invalid/hook", SECRET, 0)
    assert send(hook, TRIAL, Context()).delivered and receiver.taken[0][0]["host"] == "elsewhere.invalid"
    monkeypatch.setenv("no_proxy", "elsewhere.invalid")
    assert send(hook, TRIAL, Context()).status.startswith("no answer (")


def test_https_is_checked_against_the_authorities(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that signed itself is refused, and taken where it is an authority."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True,
    )  # fmt: skip
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(certificate, key)

    def answer_encrypted(connection: socket.socket) -> None:
        with served.wrap_socket(connection, server_side=True) as encrypted:
            take_request(encrypted)
            encrypted.sendall(b"HTTP/1.1 204 Yes\r\n\r\n")

    receiver = HostileReceiver(answer_encrypted, "https")
    hook = Route("r", "acme", "webhook", receiver.url, SECRET, 0)
    assert send(hook, TRIAL, Context()).status == "no answer (ConnectError)"
    monkeypatch.setattr(http, "tls_context", lambda: ssl.create_default_context(cafile=str(certificate)))
    assert send(hook, TRIAL, Context()).status == "HTTP 204"
    receiver.close()


@pytest.fixture
def dripping() -> Iterator[HostileReceiver]:
    receiver = HostileReceiver(lambda connection: drip(connection, b"HTTP/1.1 200 OK\r\n", 3))
    yield receiver
    receiver.close()


def test_fifty_that_drip_hold_up_nobody_else(embedded: Telling, receiver: Receiver, dripping: HostileReceiver) -> None:
    """A byte every three seconds, each to an organization of its own, and all are under way before the healthy one."""
    names = [f"hostile-{number}" for number in range(50)]
    for name in names:
        embedded.hook(dripping.url, name)
    embedded.hook(receiver.url)
    embedded.start("streams")
    embedded.start("alerts")
    for name in names:
        embedded.loops(*(f"{name}-{number}" for number in range(2)), organization=name)
    eventually(lambda: dripping.connections >= 40)
    embedded.loops("s-1")
    eventually(lambda: [said["data"]["session"] for said in receiver.messages("runaway.raised")] == ["s-1"])
    said = (embedded.settings.home / "alerts.said").read_text
    eventually(lambda: "no answer within 10 s, pending" in said())
    states = embedded.states()
    assert states["delivered"] == 1 and states["pending"] == 100
    embedded.running["alerts"].terminate()
    assert embedded.running["alerts"].wait(30) == 0


def test_slow_ones_leave_room_for_prompt_ones() -> None:
    turns = TurnOrder()
    hostile = [f"hostile-{number}" for number in range(1_000)]
    first = turns.choose(hostile, [])
    assert len(first) == MAX_CONCURRENT
    for name in hostile:
        turns.note(name, 10)
    slow = turns.choose(hostile, [])
    assert len(slow) == MAX_CONCURRENT_SLOW and turns.choose(hostile, slow) == []
    assert turns.choose([*hostile, "acme"], slow) == ["acme"]


def test_a_prompt_one_in_between_does_not_make_a_slow_one_prompt() -> None:
    turns = TurnOrder()
    for _ in range(5):
        turns.note("acme", retry_schedule.SLOW_THRESHOLD_S * 10)
        turns.note("acme", 0)
        assert turns.is_slow("acme")
    for _ in range(4):
        turns.note("acme", 0)
    assert not turns.is_slow("acme")


def test_each_has_its_turn() -> None:
    """Every one of a thousand slow ones begins before any of them begins again."""
    turns = TurnOrder()
    names = [f"{number:04}" for number in range(1_000)]
    for name in names:
        turns.note(name, 10)
    served: list[str] = []
    while len(served) < len(names):
        served += turns.choose(names, [])
    assert sorted(served[: len(names)]) == names


SECRETS = ("T0SECRET", "B0SECRET", "tokenSECRET", "querySECRET", "userSECRET", "passSECRET")
WHOLE = "{base}://userSECRET:passSECRET@127.0.0.1:{port}/services/T0SECRET/B0SECRET/tokenSECRET?key=querySECRET"


def test_no_output_holds_an_address(embedded: Telling, receiver: Receiver) -> None:
    """Whatever is typed, answered, stored or wrong."""
    home = str(embedded.settings.home)
    url = WHOLE.format(base="http", port=receiver.server_port)
    outputs = [invoke("alerts", "webhook", url, "--organization", "acme", TALLY_HOME=home)]
    for wrong in (url.replace("http:", "ftp:"), url + " ", url.removeprefix("http://"), url.replace("127", "[127")):
        outputs.append(invoke("alerts", "webhook", wrong, "--organization", "acme", TALLY_HOME=home))
        assert outputs[-1].returncode == 2, outputs[-1]
    tried = invoke("alerts", "test", "--organization", "acme", TALLY_HOME=home)
    assert f"http://127.0.0.1:{receiver.server_port}/…" in tried.stdout and tried.returncode == 0
    outputs.append(tried)
    dead = WHOLE.format(base="http", port=9)
    outputs.append(invoke("alerts", "webhook", dead, "--organization", "acme", TALLY_HOME=home))
    for arguments in ("test --json", "test", "webhooks", "webhooks --json", "deliveries --json"):
        outputs.append(invoke("alerts", *arguments.split(), TALLY_HOME=home, TALLY_ORGANIZATION="acme"))
    embedded.start("streams")
    embedded.start("alerts")
    embedded.loops("s-1")
    eventually(lambda: "no answer (ConnectError)" in (embedded.settings.home / "alerts.said").read_text())
    outputs.append(invoke("status", TALLY_HOME=home))
    outputs.append(invoke("alerts", "remove", "--json", "--organization", "acme", TALLY_HOME=home))
    text = "".join(done.stdout + done.stderr for done in outputs) + repr(Route("r", "a", "slack", url, "s", 0))
    for path in embedded.settings.home.rglob("*"):
        if path.is_file() and path.name not in ("routes.json",):
            text += path.read_bytes().decode(errors="replace")
    assert [secret for secret in SECRETS if secret in text] == []


def test_a_mark_tells_addresses_apart() -> None:
    marks = {mask_address(f"https://hooks.slack.com/services/{number}") for number in range(100)}
    assert len(marks) == 100 and all(mark.startswith("https://hooks.slack.com/…") for mark in marks)
