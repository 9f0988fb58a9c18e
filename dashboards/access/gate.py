"""The gate before the app: it asks for a sign-in, checks origins, and sets the browser's security headers."""

import asyncio
import os
import re
import time
from base64 import b64encode
from hashlib import sha256
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from urllib.parse import parse_qs, quote

from dashboards.access import sign_in_page
from dashboards.access.sign_ins import SIGN_IN_S, Attempts, SignIns, to_local_path
from dashboards.access.visitor import find_foreign_reason, find_remote_reason, is_loopback_address, is_own_process
from ledger.http.guard import COMMON_HEADERS, AsgiApp, Headers, Receive, Scope, Send, refuse
from ledger.http.local_peer import is_known_here, uid_of_peer

MAX_FORM_BYTES = 8 << 10
FORM_TIMEOUT_S = 10
_PUBLIC_PATHS = re.compile(r"/static/[^.].*|/favicon\.png|/_stcore/health")
"""Paths that show nothing of the ledger: Streamlit's own files, and its health."""
_INLINE_SCRIPTS = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_SAFE_METHODS = ("GET", "HEAD")


class Gate:
    """An ASGI application that passes viewers who may see the ledger to the app, and others to a sign-in.

    An origin must be the dashboards' own, and a WebSocket or a change must name one. Without ``sign_ins`` the app
    itself asks for a sign-in (OpenID Connect). With them the home's owner on this machine needs none,
    and others need the home's password."""

    def __init__(self, app: AsgiApp, bind: str, sign_ins: SignIns | None) -> None:
        self._app, self._bind, self._sign_ins = app, bind, sign_ins
        self._attempts = Attempts()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = join_headers(scope)
        is_change = scope["type"] == "websocket" or scope["method"] not in _SAFE_METHODS
        if ("origin" in headers or is_change) and (reason := find_foreign_reason(headers, _read_port(scope))):
            await refuse(scope, send, HTTPStatus.FORBIDDEN, f"Refused: {reason}. Open the dashboards' own page.\n")
        elif self._sign_ins is None or _PUBLIC_PATHS.fullmatch(scope["path"]):
            await self._app(scope, receive, send)
        elif scope["type"] == "http" and scope["path"] in ("/sign-in", "/sign-out"):
            await self._serve_sign_page(self._sign_ins, scope, receive, send, headers)
        elif (expiry := self._sign_ins.find_expiry(self._read_cookie(headers), int(time.time()))) is not None:
            await self._serve_until(expiry, scope, receive, send)
        elif self._is_owner_here(scope, headers):
            await self._app(scope, receive, send)
        else:
            await self._request_sign_in(scope, send)

    def _is_owner_here(self, scope: Scope, headers: dict[str, str]) -> bool:
        client, server = scope.get("client"), scope.get("server")
        if not client or not server or not is_loopback_address(client[0]) or find_remote_reason(self._bind, headers):
            return False
        uid = uid_of_peer((client[0], client[1]), (server[0], server[1]))
        return is_own_process(uid, os.getuid(), is_known_here())

    def _read_cookie(self, headers: dict[str, str]) -> str:
        assert self._sign_ins is not None
        try:
            cookies = SimpleCookie(headers.get("cookie", ""))
        except CookieError:
            return ""
        morsel = cookies.get(self._sign_ins.cookie)
        return morsel.value if morsel else ""

    async def _serve_until(self, expiry: int, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a connection, and close it when its sign-in expires."""
        try:
            async with asyncio.timeout(expiry - time.time()):
                await self._app(scope, receive, send)
        except TimeoutError:
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})

    async def _request_sign_in(self, scope: Scope, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] in _SAFE_METHODS and not scope["path"].startswith("/_stcore"):
            query_string = scope.get("query_string", b"").decode("latin-1")
            back_to = quote(scope["path"] + (f"?{query_string}" if query_string else ""), safe="")
            location = (("Location", f"/sign-in?next={back_to}"), ("Cache-Control", "no-store"))
            await refuse(scope, send, HTTPStatus.SEE_OTHER, "Sign in first.\n", location)
        else:
            await refuse(scope, send, HTTPStatus.UNAUTHORIZED, "Sign in first: open the dashboards in a browser.\n")

    async def _serve_sign_page(
        self, sign_ins: SignIns, scope: Scope, receive: Receive, send: Send, headers: dict[str, str]
    ) -> None:
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        back_to = to_local_path(query.get("next", ["/"])[0])
        is_sign_out = scope["path"] == "/sign-out"
        if scope["method"] in _SAFE_METHODS:
            page = sign_in_page.render_sign_out() if is_sign_out else sign_in_page.render_sign_in(back_to)
            await _send_page(send, HTTPStatus.OK, page)
        elif scope["method"] != "POST":
            await refuse(scope, send, HTTPStatus.METHOD_NOT_ALLOWED, "Use GET or POST.\n", (("Allow", "GET, POST"),))
        elif is_sign_out:
            sign_ins.end(self._read_cookie(headers), int(time.time()))
            await _send_redirect(send, "/", f"{sign_ins.cookie}=; Max-Age=0")
        else:
            await self._check_password(sign_ins, scope, receive, send)

    async def _check_password(self, sign_ins: SignIns, scope: Scope, receive: Receive, send: Send) -> None:
        address, now = (scope.get("client") or ("",))[0], time.monotonic()
        if wait_s := self._attempts.wait_s(address, now):
            problem = f"Too many wrong passwords. Try again in {wait_s} s."
            page = sign_in_page.render_sign_in("/", problem)
            await _send_page(send, HTTPStatus.TOO_MANY_REQUESTS, page, (("Retry-After", str(wait_s)),))
            return
        form = await _read_form(receive)
        if form is None:
            await refuse(scope, send, HTTPStatus.BAD_REQUEST, "The form arrived incomplete. Send it again.\n")
            return
        back_to = to_local_path(form.get("next", ["/"])[0])
        if not sign_ins.is_password(form.get("password", [""])[0].strip()):
            self._attempts.fail(address, now)
            page = sign_in_page.render_sign_in(back_to, "This is not the password of this home.")
            await _send_page(send, HTTPStatus.FORBIDDEN, page)
            return
        secure = "; Secure" if scope.get("scheme") == "https" else ""
        await _send_redirect(
            send, back_to, f"{sign_ins.cookie}={sign_ins.create(int(time.time()))}; Max-Age={SIGN_IN_S}{secure}"
        )


def join_headers(scope: Scope) -> dict[str, str]:
    """Return a request's headers by name in lower case; repeated ones are joined, so that none hides behind another."""
    headers: dict[str, str] = {}
    for key, value in scope["headers"]:
        name, text = key.decode("latin-1").lower(), value.decode("latin-1")
        separator = "; " if name == "cookie" else ", "
        headers[name] = f"{headers[name]}{separator}{text}" if name in headers else text
    return headers


def _read_port(scope: Scope) -> int | None:
    """Return the port that a connection came to; None where it came by no port."""
    server = scope.get("server")
    return server[1] if server else None


def render_index_page(html: str, title: str) -> str:
    """Return Streamlit's page with our title and the address of its server: a page below the root would look for the
    server below its own path first, and log two errors."""
    script = "<script>window.__streamlit = { BACKEND_BASE_URL: window.location.origin }</script>"
    return html.replace("<title>Streamlit</title>", f"<title>{title}</title>").replace("<head>", f"<head>{script}", 1)


def build_page_headers(html: str) -> Headers:
    """Return the security headers of a page: content of this server only, in no frame. Streamlit's charts compile their
    expressions, and its styles stand in the page: neither works without these two allowances."""
    hashes = " ".join(
        f"'sha256-{b64encode(sha256(code.encode()).digest()).decode()}'" for code in _INLINE_SCRIPTS.findall(html)
    )
    policy = (
        "default-src 'none'; "
        f"script-src 'self' {hashes} 'unsafe-eval'; style-src 'self' 'unsafe-inline'; connect-src 'self'; "
        "img-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; media-src 'self'; "
        "manifest-src 'self'; form-action 'self'; base-uri 'none'; object-src 'none'; frame-src 'none'; "
        "frame-ancestors 'none'"
    )
    headers = dict(COMMON_HEADERS) | {"Referrer-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin"}
    return (("Content-Security-Policy", policy), *headers.items())


def read_streamlit_index() -> str:
    """Return the page that Streamlit serves for every path."""
    import streamlit

    return (Path(streamlit.__file__).parent / "static" / "index.html").read_text(encoding="utf-8")


async def _read_form(receive: Receive) -> dict[str, list[str]] | None:
    """Read a small form; None where it is incomplete, too large or too slow."""
    body = b""
    try:
        async with asyncio.timeout(FORM_TIMEOUT_S):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    return None
                body += message.get("body", b"")
                if len(body) > MAX_FORM_BYTES:
                    return None
                if not message.get("more_body"):
                    return parse_qs(body.decode("latin-1"))
    except TimeoutError:
        return None


async def _send_page(send: Send, status: int, page: str, headers: Headers = ()) -> None:
    fields = [
        ("Content-Type", "text/html; charset=utf-8"), ("Cache-Control", "no-store"),
        ("Content-Security-Policy", sign_in_page.POLICY), *headers,
    ]  # fmt: skip
    encoded = [(name.lower().encode(), value.encode()) for name, value in fields]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": page.encode()})


async def _send_redirect(send: Send, location: str, cookie: str) -> None:
    fields = [
        (b"location", location.encode()), (b"cache-control", b"no-store"),
        (b"set-cookie", f"{cookie}; Path=/; HttpOnly; SameSite=Lax".encode()),
    ]  # fmt: skip
    await send({"type": "http.response.start", "status": HTTPStatus.SEE_OTHER, "headers": fields})
    await send({"type": "http.response.body", "body": b""})
