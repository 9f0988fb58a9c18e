"""ClickHouse's HTTP interface as a WSGI application in front of the engine in this process.

It is ours only because it must be: chDB's own HTTP handler cannot be started yet. So it stays thin: statements go
to the engine as they came, answers come back as they are.
"""

import hmac
import json
import secrets
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, closing
from itertools import chain
from tempfile import SpooledTemporaryFile
from typing import Any

from warehouse import compression, permitted, request
from warehouse.engine import Answer, Engine, QueryFailed
from warehouse.request import Request
from warehouse.statement import Statement, read
from warehouse.turns import TOO_MANY, Turns

USER, ANALYST = "tally", "analyst"
CANNOT_PARSE, NOT_STREAMED, WRONG_PASSWORD = 27, 36, 516

LARGEST = 128 << 20
"""Bytes of an answer to an analyst, before it is compressed."""

IN_MEMORY = 1 << 20
"""Of such an answer while it is sent; the rest is in a file."""

Start = Callable[[str, list[tuple[str, str]]], object]
Headers = list[tuple[str, str]]

_STATUS = {
    "400 Bad Request": (
        6,
        27,
        36,
        38,
        41,
        42,
        43,
        44,
        50,
        53,
        57,
        62,
        69,
        70,
        72,
        73,
        117,
        131,
        306,
        386,
        395,
        396,
        457,
    ),
    "403 Forbidden": (164, 497, 516),
    "404 Not Found": (46, 47, 60, 81, 115),
    "408 Request Timeout": (159,),
    "501 Not Implemented": (48,),
    "503 Service Unavailable": (TOO_MANY,),
}
_STATUS_OF = {code: status for status, codes in _STATUS.items() for code in codes}


class Front:
    """The application. One user has full rights; analysts read, within limits."""

    def __init__(self, engine: Engine, password: str, analysts_password: str) -> None:
        self._engine = engine
        self._runs = {USER: (password, self._run), ANALYST: (analysts_password, self._read)}
        self._turns = Turns()
        self._checking = threading.Lock()

    def __call__(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/ping" or (environ["PATH_INFO"] == "/" and _asks_nothing(environ)):
            return _whole(start, "200 OK", b"Ok.\n")
        if environ["PATH_INFO"] != "/":
            return _whole(start, "404 Not Found", b"There is no such page: statements go to /\n")
        user, password = request.credentials(environ)
        known, run = self._runs.get(user, (secrets.token_hex(), self._read))
        if not hmac.compare_digest(password.encode(), known.encode()):
            said = f"{user or 'no user'}: Authentication failed: `tally status` tells user and password."
            return _refused(start, QueryFailed(f"Code: 516. DB::Exception: {said} (AUTHENTICATION_FAILED)"))
        try:
            return run(environ, start)
        except QueryFailed as error:
            return _refused(start, error)
        except ValueError as error:
            return _refused(start, QueryFailed(f"Code: 27. DB::Exception: the request cannot be read: {error}"))

    def _run(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        asked = request.read(environ)
        statement = _statement(asked)
        headers = _headers(statement, asked)
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

    def _read(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        """As an analyst. The answer is whole before the first byte is sent, so that who reads it slowly holds nothing
        but a place and a file."""
        gone: Callable[[], bool] = environ["waitress.client_disconnected"]
        with ExitStack() as held:
            held.enter_context(self._turns.place())
            asked = request.read(environ, permitted.BODY)
            mark = f"analyst-{secrets.token_hex(16)}"
            settings = permitted.settings(asked.settings) | {"log_comment": mark}
            permitted.check_size(asked.sql)
            statement = _statement(asked)._replace(fills=None)
            permitted.check_format(statement.format)
            with self._checking:  # the tree of a long statement takes a hundred MiB
                permitted.check(self._engine.read(statement.sql, permitted.to_read(statement.sql)))
            file = held.enter_context(SpooledTemporaryFile(IN_MEMORY))
            with (
                self._turns.turn(gone, lambda: self._engine.end(mark)),
                closing(self._chunks(statement, settings, asked.values)) as chunks,
            ):
                whole = _bounded(chunks)
                for chunk in compression.packed(whole, asked.coding) if asked.coding else whole:
                    file.write(chunk)
            headers = [*_headers(statement, asked), *_ALWAYS, *compression.headers(asked.coding)]
            start("200 OK", [*headers, ("Content-Length", str(file.tell()))])
            file.seek(0)
            answer: Iterable[bytes] = environ["wsgi.file_wrapper"](_Kept(file, held.pop_all()))
            return answer

    def _chunks(
        self, statement: Statement, settings: dict[str, str], values: dict[str, str]
    ) -> Generator[bytes, None, None]:
        if statement.streams:
            try:
                yield from self._engine.stream(statement, settings, values, permitted.ROLE)
                return
            except QueryFailed as error:
                if error.code != NOT_STREAMED:  # it says so before its first chunk
                    raise
        yield self._engine.run(statement, settings, values, permitted.ROLE).body


class _Kept:
    """An answer as waitress sends it from its main loop. It holds its place until it is sent, or who asked is gone."""

    def __init__(self, file: SpooledTemporaryFile[bytes], held: ExitStack) -> None:
        self.read, self.seek, self.tell, self.close = file.read, file.seek, file.tell, held.close


def _statement(asked: Request) -> Statement:
    if not asked.sql.strip():
        raise QueryFailed("Code: 62. DB::Exception: Syntax error: the query is empty. (SYNTAX_ERROR)")
    statement = read(asked.sql, asked.format)
    if statement.format.lower() in ("dataframe", "arrowtable"):  # objects of Python, which the engine knows too
        raise QueryFailed(f"Code: 73. DB::Exception: Unknown format {statement.format}. (UNKNOWN_FORMAT)")
    return statement


def _headers(statement: Statement, asked: Request) -> Headers:
    return [("X-ClickHouse-Format", statement.format), ("X-ClickHouse-Query-Id", asked.query_id)]


def _bounded(chunks: Iterator[bytes]) -> Iterator[bytes]:
    sent = 0
    for chunk in chunks:
        sent += len(chunk)
        if sent > LARGEST:
            raise QueryFailed(
                f"Code: 396. DB::Exception: Limit for result exceeded: an answer has at most {LARGEST >> 20} MiB: ask "
                "for less at a time. (TOO_MANY_ROWS_OR_BYTES)"
            )
        yield chunk


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
    headers = [("X-ClickHouse-Exception-Code", str(error.code))]
    if error.code == TOO_MANY:
        headers.append(("Retry-After", "1"))
    return _whole(start, status, f"{error}\n".encode(), headers)


def _streamed(start: Start, chunks: Iterator[bytes], headers: Headers, coding: str | None) -> Iterator[bytes]:
    tag = secrets.token_hex(8)
    start(
        "200 OK",
        [*headers, *_ALWAYS, ("X-ClickHouse-Exception-Tag", tag), *compression.headers(coding)],
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
