"""ClickHouse's HTTP interface as a WSGI application in front of the engine in this process.

It is ours only because it must be: chDB's own HTTP handler cannot be started yet. So it stays thin: statements go
to the engine as they came, answers come back as they are.
"""

import hmac
import json
import secrets
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any

from warehouse import compression, request
from warehouse.engine import Answer, Engine, QueryFailed
from warehouse.request import Request
from warehouse.statement import read

USER = "tally"
CANNOT_PARSE, NOT_STREAMED, WRONG_PASSWORD = 27, 36, 516

Start = Callable[[str, list[tuple[str, str]]], object]
Headers = list[tuple[str, str]]

_STATUS = {
    "400 Bad Request": (6, 27, 36, 38, 41, 42, 43, 44, 50, 53, 57, 62, 69, 70, 72, 117, 131, 386, 395, 396, 457),
    "403 Forbidden": (164, 497, 516),
    "404 Not Found": (46, 47, 60, 81, 115),
    "408 Request Timeout": (159,),
    "501 Not Implemented": (48,),
}
_STATUS_OF = {code: status for status, codes in _STATUS.items() for code in codes}


class Front:
    """The application. One user, with full rights."""

    def __init__(self, engine: Engine, password: str) -> None:
        self._engine = engine
        self._password = password

    def __call__(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/ping" or (environ["PATH_INFO"] == "/" and _asks_nothing(environ)):
            return _whole(start, "200 OK", b"Ok.\n")
        if environ["PATH_INFO"] != "/":
            return _whole(start, "404 Not Found", b"There is no such page: statements go to /\n")
        user, password = request.credentials(environ)
        if user != USER or not hmac.compare_digest(password.encode(), self._password.encode()):
            said = f"{user or 'no user'}: Authentication failed: `tally status` tells user and password."
            return _refused(start, QueryFailed(f"Code: 516. DB::Exception: {said} (AUTHENTICATION_FAILED)"))
        try:
            return self._run(request.read(environ), start)
        except QueryFailed as error:
            return _refused(start, error)
        except ValueError as error:
            return _refused(start, QueryFailed(f"Code: 27. DB::Exception: the request cannot be read: {error}"))

    def _run(self, asked: Request, start: Start) -> Iterable[bytes]:
        if not asked.sql.strip():
            raise QueryFailed("Code: 62. DB::Exception: Syntax error: the query is empty. (SYNTAX_ERROR)")
        statement = read(asked.sql, asked.format)
        headers = [("X-ClickHouse-Format", statement.format), ("X-ClickHouse-Query-Id", asked.query_id)]
        if statement.streams:
            chunks = self._engine.stream(statement, asked.settings, asked.values)
            try:
                first = next(chunks, b"")  # so that most errors are found before a status is sent
            except QueryFailed as error:
                if error.code != NOT_STREAMED:
                    raise
            else:
                return _streamed(start, chain([first], chunks), headers, asked.coding)
        answer: Answer = self._engine.run(statement, asked.settings, asked.values)
        headers.append(("X-ClickHouse-Summary", json.dumps(answer.summary)))
        if asked.coding:
            return _streamed(start, iter([answer.body]), headers, asked.coding)
        return _whole(start, "200 OK", answer.body, headers)


def _asks_nothing(environ: dict[str, Any]) -> bool:
    return environ["REQUEST_METHOD"] == "GET" and not environ["QUERY_STRING"]


_ALWAYS = [
    ("Content-Type", "text/plain; charset=UTF-8"),
    ("X-ClickHouse-Timezone", "UTC"),
    ("X-ClickHouse-Server-Display-Name", "tallystick"),
]


def _whole(start: Start, status: str, body: bytes, headers: Iterable[tuple[str, str]] = ()) -> list[bytes]:
    start(status, [*headers, *_ALWAYS, ("Content-Length", str(len(body)))])
    return [body]


def _refused(start: Start, error: QueryFailed) -> list[bytes]:
    status = _STATUS_OF.get(error.code, "500 Internal Server Error")
    return _whole(start, status, f"{error}\n".encode(), [("X-ClickHouse-Exception-Code", str(error.code))])


def _streamed(start: Start, chunks: Iterator[bytes], headers: Headers, coding: str | None) -> Iterator[bytes]:
    tag = secrets.token_hex(8)
    start(
        "200 OK",
        [*headers, *_ALWAYS, ("X-ClickHouse-Exception-Tag", tag), *([("Content-Encoding", coding)] if coding else [])],
    )
    whole = _until_failure(chunks, tag)
    return compression.packed(whole, coding) if coding else whole


def _until_failure(chunks: Iterator[bytes], tag: str) -> Iterator[bytes]:
    """An answer that fails half-way ends with what failed; its status has long been sent."""
    try:
        yield from chunks
    except QueryFailed as error:
        said = f"{error}\n".encode()
        yield b"\r\n__exception__\r\n%b\r\n%b%d %b\r\n__exception__\r\n" % (tag.encode(), said, len(said), tag.encode())
