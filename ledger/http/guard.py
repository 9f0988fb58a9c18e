"""Guard every HTTP application of the platform: it answers to its own host names alone, and every answer forbids a
browser to frame it, to guess its type and to run anything in it."""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from ledger.http.host_check import AllowedHosts, describe_refusal

Headers = tuple[tuple[str, str], ...]
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]
StartResponse = Callable[..., Any]
WsgiApp = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]

MISDIRECTED = 421
COMMON_HEADERS: Headers = (
    ("X-Frame-Options", "DENY"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
DATA_HEADERS: Headers = (
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    *COMMON_HEADERS,
)
"""Headers of a server without pages: nothing in its answers may run."""


class AsgiGuard:
    """An ASGI application behind the check of host names, with these headers on each answer."""

    def __init__(self, app: AsgiApp, hosts: AllowedHosts, headers: Headers = DATA_HEADERS) -> None:
        self._app, self._hosts, self._headers = app, hosts, headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        guarded_send = add_headers(send, self._headers)
        hosts = header_values(scope, b"host")
        if self._hosts.allow(hosts):
            await self._app(scope, receive, guarded_send)
        else:
            await refuse(scope, guarded_send, MISDIRECTED, describe_refusal(hosts))


class WsgiGuard:
    """The same for a WSGI application. WSGI folds repeated headers into one, with a comma: no name has one."""

    def __init__(self, app: WsgiApp, hosts: AllowedHosts, headers: Headers = DATA_HEADERS) -> None:
        self._app, self._hosts, self._headers = app, hosts, headers

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *exception: Any) -> Any:
            return start_response(status, [*headers, *self._headers], *exception)

        hosts = [environ["HTTP_HOST"]] if "HTTP_HOST" in environ else []
        if self._hosts.allow(hosts):
            return self._app(environ, start)
        body = describe_refusal(hosts).encode()
        headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
        start(f"{MISDIRECTED} Misdirected Request", headers)
        return [body]


def header_values(scope: Scope, name: bytes) -> list[str]:
    """Return all values of a request's header; ``name`` is in lower case."""
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def add_headers(send: Send, headers: Headers) -> Send:
    """Send answers with these headers; those that the application sets itself stay as they are."""
    encoded = [(name.lower().encode(), value.encode()) for name, value in headers]

    async def send_with_headers(message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            application_headers = list(message.get("headers", ()))
            names = {bytes(name).lower() for name, _ in application_headers}
            message = {
                **message,
                "headers": [*application_headers, *(pair for pair in encoded if pair[0] not in names)],
            }
        await send(message)

    return send_with_headers


async def refuse(scope: Scope, send: Send, status: int, text: str, headers: Headers = ()) -> None:
    """Answer a request with a sentence; a WebSocket is not opened."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    body = text.encode()
    common = ((b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode()))
    extra_headers = [(name.lower().encode(), value.encode()) for name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": [*common, *extra_headers]})
    await send({"type": "http.response.body", "body": body})
