"""The gate of the dashboards: its pure parts, and the whole as an ASGI application."""

import asyncio
import os
import socket
import struct
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from dashboards.access import gate, open_id, sign_in_page, sign_ins, visitor
from dashboards.access.gate import Gate, build_page_headers, read_streamlit_index, render_index_page
from dashboards.access.sign_ins import MAX_FAILURES, SIGN_IN_S, Attempts, SignIns, to_local_path
from dashboards.page_list import PAGES, find_page
from dashboards.sources import loopback
from ledger.errors import TallyError
from ledger.http.local_peer import find_uid, uid_of_peer
from ledger.settings import Settings
from tests.dashboards.screenshots import open_page
from tests.dashboards.server import ROOT

HOST = "localhost:8501"
OWN_PAGE: dict[str, Any] = {"host": HOST, "origin": f"http://{HOST}"}
PASSWORD = "a password"


async def serve_ledger(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        while scope["path"] == "/stays":
            await asyncio.sleep(0.05)
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"the ledger"})


def ask(
    gate: Gate, path: str = "/", scope_type: str = "http", method: str = "GET", client: str = "127.0.0.1",
    body: bytes = b"", pairs: list[tuple[str, str]] | None = None, **headers: Any,
) -> list[dict[str, Any]]:  # fmt: skip
    """Return the messages that the gate sends for one request."""
    messages: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        messages.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": body}

    location, _, query = path.partition("?")
    header_pairs = [*({"host": HOST} | headers).items(), *(pairs or [])]
    scope = {
        "type": scope_type, "path": location, "method": method, "client": (client, 5), "server": ("127.0.0.1", 8501),
        "query_string": query.encode(), "headers": [(name.encode(), value.encode()) for name, value in header_pairs],
    }  # fmt: skip
    asyncio.run(gate(scope, receive, send))
    return messages


def read_status(messages: list[dict[str, Any]]) -> int:
    return int(messages[0].get("status") or messages[0].get("code") or 101)


@pytest.fixture
def owner_gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    """A gate on loopback, where each connection is of the home's owner."""
    monkeypatch.setattr(gate, "uid_of_peer", lambda *_: os.getuid())
    return Gate(serve_ledger, "127.0.0.1", SignIns(PASSWORD))


@pytest.fixture
def foreign_gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    """A gate on loopback, where each connection is of another user of the machine."""
    monkeypatch.setattr(gate, "uid_of_peer", lambda *_: os.getuid() + 12345)
    monkeypatch.setattr(gate, "is_known_here", lambda: True)
    return Gate(serve_ledger, "127.0.0.1", SignIns(PASSWORD))


def sign_in(gate: Gate, password: str = PASSWORD, **changes: Any) -> list[dict[str, Any]]:
    body = urlencode({"password": password, "next": "/trust"}).encode()
    return ask(gate, "/sign-in", method="POST", body=body, **(OWN_PAGE | changes))


def read_cookie(messages: list[dict[str, Any]]) -> str:
    return str(dict(messages[0]["headers"])[b"set-cookie"], "latin-1")


@pytest.mark.parametrize(
    ("headers", "word"),
    [
        ({}, None),
        ({"host": "[::1]:8501"}, None),
        ({"host": "127.0.0.1:8501"}, None),
        ({"host": "tally.example.org"}, "tally.example.org"),
        ({"host": "10.0.0.7:8501"}, "10.0.0.7"),
        ({"host": ""}, "nowhere"),
        ({"x-forwarded-for": "127.0.0.1"}, "x-forwarded-for"),
        ({"x-forwarded-host": HOST}, "x-forwarded-host"),
        ({"forwarded": "for=127.0.0.1"}, "forwarded"),
        ({"via": "1.1 proxy"}, "via"),
        ({"x-real-ip": "127.0.0.1"}, "x-real-ip"),
    ],
)  # fmt: skip
def test_a_proxy_and_another_name_are_not_here(headers: dict[str, str], word: str | None) -> None:
    reason = visitor.find_remote_reason("127.0.0.1", {"host": HOST} | headers)
    assert reason is None if word is None else word in (reason or "")
    for bind in ("0.0.0.0", "10.0.0.7", None, "localhost.example.org"):
        assert visitor.find_remote_reason(bind, {"host": HOST}) is not None


@pytest.mark.parametrize(
    "origin",
    [
        "http://localhost:9999", "http://127.0.0.1:8501", "https://localhost:8501", "null", "", "https://evil.example",
        "http://localhost",
    ],
)  # fmt: skip
def test_another_origin_of_this_machine_opens_nothing(owner_gate: Gate, origin: str) -> None:
    assert read_status(ask(owner_gate, "/_stcore/stream", "websocket", origin=origin)) == 1008
    assert read_status(ask(owner_gate, "/_stcore/upload_file/x", method="PUT", origin=origin)) == 403
    assert read_status(ask(owner_gate, "/", origin=origin)) == 403


def test_who_is_here_comes_in_with_our_own_page_alone(owner_gate: Gate) -> None:
    assert read_status(ask(owner_gate)) == 200
    assert read_status(ask(owner_gate, "/_stcore/stream", "websocket", **OWN_PAGE)) == 101
    assert read_status(ask(owner_gate, "/_stcore/stream", "websocket")) == 1008, "a browser names its page"
    assert read_status(ask(owner_gate, "/x", method="POST")) == 403
    two = [("origin", f"http://{HOST}")]
    assert read_status(ask(owner_gate, "/_stcore/stream", "websocket", pairs=two, **OWN_PAGE)) == 1008, (
        "one of two may be a lie"
    )


@pytest.mark.parametrize(
    "changes",
    [{"client": "10.0.0.8"}, {"host": "10.0.0.7:8501"}, {"host": "tally.example.org"}, {"x-forwarded-for": "1.2.3.4"}],
)
def test_who_comes_from_elsewhere_must_sign_in(owner_gate: Gate, changes: dict[str, Any]) -> None:
    host = changes.get("host", HOST)
    start = ask(owner_gate, "/trust?a=b", **changes)[0]
    assert start["status"] == 303 and dict(start["headers"])[b"location"] == b"/sign-in?next=%2Ftrust%3Fa%3Db"
    assert (
        read_status(ask(owner_gate, "/_stcore/stream", "websocket", **(changes | {"origin": f"http://{host}"}))) == 1008
    )
    assert read_status(ask(owner_gate, "/_stcore/metrics", **changes)) == 401
    assert read_status(ask(owner_gate, "/media/x", **changes)) == 303
    assert read_status(ask(owner_gate, "/_stcore/health", **changes)) == 200


@pytest.mark.parametrize(
    ("host", "forwarding", "is_own"),
    [
        ("tally.example.org", {}, True),
        ("tally.example.org:8501", {}, False),
        ("tally.example.org:8501", {"x-forwarded-proto": "https"}, True),
        ("tally.example.org:8501", {"x-forwarded-proto": "http"}, False),
        ("tally.example.org:9443", {}, True),
    ],
)  # fmt: skip
def test_a_page_over_https_is_ours_only_behind_what_ends_tls(
    host: str, forwarding: dict[str, str], is_own: bool
) -> None:
    headers = {"host": host, "origin": f"https://{host}"} | forwarding
    assert (visitor.find_foreign_reason(headers, 8501) is None) is is_own


def test_another_user_of_this_machine_must_sign_in(foreign_gate: Gate) -> None:
    assert read_status(ask(foreign_gate)) == 303
    assert read_status(ask(foreign_gate, "/_stcore/stream", "websocket", **OWN_PAGE)) == 1008
    cookie = read_cookie(sign_in(foreign_gate)).partition(";")[0]
    assert read_status(ask(foreign_gate, "/_stcore/stream", "websocket", cookie=cookie, **OWN_PAGE)) == 101


@pytest.mark.parametrize("bind", ["0.0.0.0", "10.0.0.7"])
def test_beyond_loopback_everybody_signs_in_the_owner_too(monkeypatch: pytest.MonkeyPatch, bind: str) -> None:
    monkeypatch.setattr(gate, "uid_of_peer", lambda *_: os.getuid())
    open_gate = Gate(serve_ledger, bind, SignIns(PASSWORD))
    assert read_status(ask(open_gate)) == 303
    cookie = read_cookie(sign_in(open_gate))
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Path=/" in cookie
    assert read_status(ask(open_gate, cookie=cookie.partition(";")[0])) == 200


def test_a_sign_in_ends_by_itself_and_by_signing_out(foreign_gate: Gate) -> None:
    entered = sign_in(foreign_gate)
    assert dict(entered[0]["headers"])[b"location"] == b"/trust"
    cookie = read_cookie(entered).partition(";")[0]
    assert read_status(ask(foreign_gate, cookie=cookie)) == 200
    assert (
        read_status(ask(foreign_gate, "/sign-out", cookie=cookie)) == 200
        and read_status(ask(foreign_gate, cookie=cookie)) == 200
    )
    response = ask(foreign_gate, "/sign-out", method="POST", cookie=cookie, **OWN_PAGE)
    assert "Max-Age=0" in read_cookie(response)
    assert read_status(ask(foreign_gate, cookie=cookie)) == 303, "also for who kept a copy"

    signed = SignIns(PASSWORD)
    value = signed.create(1000)
    assert signed.find_expiry(value, 1000) == 1000 + SIGN_IN_S and signed.find_expiry(value, 1000 + SIGN_IN_S) is None
    assert SignIns("another").find_expiry(value, 1000) is None
    for wrong in ("", ".", "..", "1.2.3", value[:-1], value + "0", value.replace(value[0], "9", 1), "ü.ü.ü"):
        assert signed.find_expiry(wrong, 1000) is None


def test_a_connection_that_stays_open_ends_with_its_sign_in(
    foreign_gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sign_ins, "SIGN_IN_S", 2)
    cookie = read_cookie(sign_in(foreign_gate)).partition(";")[0]
    messages = ask(foreign_gate, "/stays", "websocket", cookie=cookie, **OWN_PAGE)
    assert [message["type"] for message in messages] == ["websocket.accept", "websocket.close"]


def test_passwords_are_tried_a_few_times_and_then_later(foreign_gate: Gate) -> None:
    for _ in range(MAX_FAILURES):
        assert read_status(sign_in(foreign_gate, "wrong")) == 403
    refused = sign_in(foreign_gate)
    assert read_status(refused) == 429 and int(dict(refused[0]["headers"])[b"retry-after"]) > 0
    assert read_status(sign_in(foreign_gate, client="127.0.0.2")) == 303, "another address is not held up"

    attempts = Attempts()
    for second in range(MAX_FAILURES):
        assert attempts.wait_s("a", second) == 0
        attempts.fail("a", second)
    assert attempts.wait_s("a", MAX_FAILURES) > 0 and attempts.wait_s("a", 61) == 0
    for number in range(sign_ins.MAX_ADDRESSES + 5):
        attempts.fail(f"x{number}", 0)
    assert len(attempts._failures) <= sign_ins.MAX_ADDRESSES


def test_a_sign_in_needs_our_own_form(foreign_gate: Gate) -> None:
    body = urlencode({"password": PASSWORD}).encode()
    assert read_status(ask(foreign_gate, "/sign-in", method="POST", body=body)) == 403
    assert read_status(ask(foreign_gate, "/sign-in", method="POST", body=body, origin="http://localhost:1")) == 403
    assert read_status(ask(foreign_gate, "/sign-in", method="POST", body=b"x" * 9000, **OWN_PAGE)) == 400
    assert read_status(ask(foreign_gate, "/sign-in", method="DELETE", **OWN_PAGE)) == 405
    page = ask(foreign_gate, "/sign-in?next=/%22%3E%3Cscript%3E")
    assert (
        b"<script" not in page[1]["body"]
        and b"frame-ancestors 'none'" in dict(page[0]["headers"])[b"content-security-policy"]
    )
    assert (
        b"password of this home"
        in ask(foreign_gate, "/sign-in", method="POST", body=b"password=%ff", **OWN_PAGE)[1]["body"]
    )


@pytest.mark.parametrize(
    "text", ["//evil.example", "/\\evil.example", "https://evil.example", "", "trust", "/a\r\nX: y", "/sign-out", "/é"]
)
def test_a_sign_in_leads_to_a_page_of_ours_alone(text: str) -> None:
    assert to_local_path(text) == "/"
    assert to_local_path("/budgets?scope=a%20b") == "/budgets?scope=a%20b"


def test_the_kernel_says_whose_a_connection_is() -> None:
    (address,) = struct.unpack("=I", socket.inet_aton("127.0.0.1"))
    header, local = "sl local rem st ...", f"{address:08X}:0005"
    row = f"0: {local} {address:08X}:0006 01 0:0 0:0 0 1234 0 99"
    client, server = ("127.0.0.1", 5), ("127.0.0.1", 6)
    assert find_uid(f"{header}\n{row}", client, server) == 1234
    assert find_uid(f"{header}\n{row.replace(' 01 ', ' 06 ')}", client, server) is None, "nobody owns it any more"
    assert find_uid(f"{header}\n{row}", server, client) is None
    assert find_uid(f"{header}\nbroken", client, server) is None
    for is_known, uid, is_own in ((True, 7, True), (True, 0, True), (True, 8, False), (True, None, False)):
        assert visitor.is_own_process(uid, 7, is_known) is is_own
    assert visitor.is_own_process(None, 7, False)


@pytest.mark.skipif(not os.path.exists("/proc/net/tcp"), reason="NOT TESTED: this system does not list connections")  # noqa: PTH110
def test_a_connection_of_this_process_is_its_users() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        server = listening.getsockname()
        with socket.create_connection(server) as near:
            assert uid_of_peer(near.getsockname(), server) == os.getuid()
        assert uid_of_peer(("127.0.0.1", 1), server) is None


@pytest.mark.skipif(os.getuid() != 0, reason="NOT TESTED: only root can be another user")
def test_another_users_process_is_told_from_ours() -> None:
    program = textwrap.dedent("""
        import encodings.idna, os, socket, sys
        os.setuid(12345)
        with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as near:
            near.recv(1)
    """)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.settimeout(20)
        process = subprocess.Popen([sys.executable, "-c", program, str(listening.getsockname()[1])], cwd="/")
        connection, client = listening.accept()
        uid = uid_of_peer(client, listening.getsockname())
        connection.close()
        process.wait(20)
    assert uid == 12345


def test_streamlits_page_is_as_we_need_it() -> None:
    """Our insertions find their places, and each script in the page is allowed by its hash."""
    html = render_index_page(read_streamlit_index(), "Tallystick")
    assert "<title>Tallystick</title>" in html and html.index("BACKEND_BASE_URL") < html.index('type="module"')
    policy = dict(build_page_headers(html))["Content-Security-Policy"]
    assert policy.count("'sha256-") == 2 and "script-src 'self' 'sha256-" in policy
    assert "'unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0]
    assert "'unsafe" not in sign_in_page.POLICY


def test_every_page_has_its_folder_and_its_link() -> None:
    folders = {path.parent.name for path in (ROOT / "dashboards" / "pages").glob("*/page.py")}
    assert folders == {page.name for page in PAGES}
    assert [find_page(page.name).link for page in PAGES] == ["./", *(page.name for page in PAGES[1:])]


def test_openid_connect_without_authlib_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    section: dict[str, Any] = {"client_id": "y", "redirect_uri": "x"}
    monkeypatch.setattr(open_id, "_section", lambda: section)
    monkeypatch.setattr("dashboards.access.open_id.importlib.util.find_spec", lambda _: None)
    with pytest.raises(TallyError, match=r"\[auth\].*Authlib.*pip install"):
        open_id.is_configured()
    monkeypatch.setattr("dashboards.access.open_id.importlib.util.find_spec", lambda _: object())
    assert open_id.is_configured()


def test_with_openid_connect_nothing_is_asked_or_shown_before_one_signs_in(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(open_id, "_section", lambda: {"client_id": "y"})
    monkeypatch.setattr("dashboards.sources.warehouse._query", lambda *_: pytest.fail("the warehouse was asked"))
    app = open_page(Settings(home=tmp_path / "home"), monkeypatch)
    assert app.header[0].value == "Sign in" and [button.label for button in app.button] == ["Sign in"]
    assert loopback.find_exposure() == "nobody has signed in"


def test_each_provider_of_openid_connect_gets_a_button() -> None:
    assert open_id.list_providers({"redirect_uri": "x", "client_id": "y"}) == [None]
    assert open_id.list_providers({"redirect_uri": "x", "google": {"client_id": "y"}, "client_kwargs": {}}) == [
        "google"
    ]
    assert not open_id.is_configured()
