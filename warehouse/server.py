"""The embedded warehouse: ClickHouse's HTTP interface in front of the engine in this process.

It is ours only because it must be: chDB's own HTTP handler cannot be started yet. So it stays thin: statements go
to the engine as they came, answers come back as they are.
"""

import base64
import contextlib
import gzip
import hmac
import json
import signal
import socket
import types
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any
from urllib.parse import parse_qsl

import zstandard
from waitress.server import create_server

from ledger.errors import TallyError
from ledger.home import announce, only_one
from ledger.secrets import secret
from ledger.settings import Settings
from warehouse.engine import Engine, QueryFailed
from warehouse.statement import Insert, read, settings, values

PART = "warehouse"
USER = "tally"
CHUNK = 1 << 20
HEAD = 1 << 16  # a statement that carries data has its head within so many bytes
THREADS = 8

Start = Callable[[str, list[tuple[str, str]]], object]
_STATUS = {60: "404 Not Found", 81: "404 Not Found", 241: "503 Service Unavailable", 516: "403 Forbidden"}
_CALLERS_FAULT = frozenset((27, 36, 41, 43, 46, 47, 53, 57, 62, 72, 117, 386, 395))


class Front:
    """The WSGI application."""

    def __init__(self, engine: Engine, password: str) -> None:
        self._engine = engine
        self._password = password

    def __call__(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        parameters = dict(parse_qsl(environ["QUERY_STRING"], keep_blank_values=True))
        if environ["PATH_INFO"] == "/ping":
            return _answer(start, "200 OK", b"Ok.\n")
        if environ["PATH_INFO"] != "/":
            return _answer(start, "404 Not Found", b"There is no such page: statements go to /\n")
        if not self._admits(environ, parameters):
            return _refused(start, 516, "Code: 516. DB::Exception: wrong user or password: `tally status` tells both")
        try:
            return self._run(environ, start, parameters)
        except QueryFailed as error:
            return _refused(start, error.code, str(error))
        except (ValueError, OSError, EOFError, zstandard.ZstdError) as error:
            return _refused(start, 27, f"Code: 27. DB::Exception: the request cannot be read: {error}")

    def _run(self, environ: dict[str, Any], start: Start, parameters: dict[str, str]) -> Iterable[bytes]:
        body = _body(environ)
        begin = body.read(HEAD)
        form = environ.get("HTTP_X_CLICKHOUSE_FORMAT")
        database = environ.get("HTTP_X_CLICKHOUSE_DATABASE")
        if database:
            parameters.setdefault("database", database)
        statement = read(parameters, begin, form)
        if isinstance(statement, Insert):
            data = chain([begin[statement.start :]], iter(lambda: body.read(CHUNK), b""))
            rows = self._engine.insert(statement.head, statement.format, statement.table, data, settings(parameters))
            return _answer(start, "200 OK", b"", ("X-ClickHouse-Summary", json.dumps({"written_rows": str(rows)})))
        if len(begin) == HEAD:
            statement = read(parameters, begin + body.read(), form)
            assert not isinstance(statement, Insert)
        asked = (statement.sql, statement.format, settings(parameters), values(parameters))
        if not statement.streams:
            answer = self._engine.query(*asked)
            return _answer(start, "200 OK", answer, ("X-ClickHouse-Format", statement.format))
        chunks = self._engine.stream(*asked)
        first = next(chunks, b"")
        start("200 OK", [("X-ClickHouse-Format", statement.format), *_ALWAYS])
        return _until_failure(chain([first], chunks))

    def _admits(self, environ: dict[str, Any], parameters: dict[str, str]) -> bool:
        user, password = parameters.get("user", ""), parameters.get("password", "")
        if "HTTP_X_CLICKHOUSE_USER" in environ:
            user, password = environ["HTTP_X_CLICKHOUSE_USER"], environ.get("HTTP_X_CLICKHOUSE_KEY", "")
        elif environ.get("HTTP_AUTHORIZATION", "").startswith("Basic "):
            with contextlib.suppress(ValueError):
                said = base64.b64decode(environ["HTTP_AUTHORIZATION"][6:]).decode()
                user, _, password = said.partition(":")
        return user == USER and hmac.compare_digest(password.encode(), self._password.encode())


_ALWAYS = [
    ("Content-Type", "text/plain; charset=UTF-8"),
    ("X-ClickHouse-Timezone", "UTC"),
    ("X-ClickHouse-Server-Display-Name", "tallystick"),
]


def _answer(start: Start, status: str, body: bytes, *headers: tuple[str, str]) -> list[bytes]:
    start(status, [*headers, *_ALWAYS, ("Content-Length", str(len(body)))])
    return [body]


def _refused(start: Start, code: int, said: str) -> list[bytes]:
    status = _STATUS.get(code, "400 Bad Request" if code in _CALLERS_FAULT else "500 Internal Server Error")
    return _answer(start, status, said.encode() + b"\n", ("X-ClickHouse-Exception-Code", str(code)))


def _until_failure(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """An answer that fails half-way ends with what failed; its status has long been sent."""
    try:
        yield from chunks
    except QueryFailed as error:
        yield f"\r\n__exception__\r\n{error}\r\n__exception__\r\n".encode()


def _body(environ: dict[str, Any]) -> Any:
    """The request's body, unpacked. The server has read it whole: one that was cut short never gets here."""
    body = environ["wsgi.input"]
    match environ.get("HTTP_CONTENT_ENCODING", "identity").lower():
        case "identity" | "":
            return body
        case "gzip":
            return gzip.GzipFile(fileobj=body)
        case "zstd":
            return zstandard.ZstdDecompressor().stream_reader(body)
        case other:
            raise ValueError(f"Content-Encoding {other!r} is not known here: send gzip, zstd or none")


def serve(settings: Settings, port: int | None = None) -> None:
    """Own the home's warehouse until SIGTERM or SIGINT. TallyError where it cannot be owned, or the port is taken."""
    with only_one(settings.home, PART):
        password = secret(settings.home, "warehouse")
        listening = _listen(settings.warehouse_port if port is None else port)
        engine = Engine(settings.home / "warehouse")
        server = create_server(
            Front(engine, password),
            sockets=[listening],
            threads=THREADS,
            max_request_body_size=1 << 30,
            channel_timeout=120,
            ident=None,
            clear_untrusted_proxy_headers=True,
        )
        taken = listening.getsockname()[1]
        _stop_on_signal()
        announce(settings.home, PART, url=f"http://127.0.0.1:{taken}", port=taken, user=USER, password=password)
        with contextlib.suppress(SystemExit):
            server.run()
        server.close()
        engine.close()


def _listen(port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(("127.0.0.1", port))
    except OSError as error:
        raise TallyError(
            f"port {port} for the warehouse is taken ({error.strerror}): "
            "set TALLY_WAREHOUSE_PORT to another one, or to 0 for any that is free"
        ) from error
    return listening


def _stop_on_signal() -> None:
    def stop(number: int, frame: types.FrameType | None) -> None:
        raise SystemExit

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
