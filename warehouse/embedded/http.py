"""ClickHouse's HTTP interface as a WSGI application in front of the engine in this process.

It is ours only because it must be: chDB's own HTTP handler cannot be started yet. So it stays thin: statements go
to the engine as they came, answers come back as they are.
"""

import json
import secrets
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, closing
from itertools import chain
from tempfile import SpooledTemporaryFile
from typing import Any

from warehouse.embedded import compression, request
from warehouse.embedded.analyst import policy
from warehouse.embedded.analyst.classifier import Classifier
from warehouse.embedded.analyst.entrance import Entrance
from warehouse.embedded.analyst.query_slots import TOO_MANY, Turns
from warehouse.embedded.engine import Answer, Engine, QueryFailed
from warehouse.embedded.request import Request
from warehouse.embedded.statement import Statement, read
from warehouse.embedded.users import ANALYST, USER

NOT_STREAMED = 36
METHODS = ("GET", "HEAD", "POST")

LARGEST = 128 << 20
"""Bytes of an answer to an analyst, before it is compressed."""

IN_MEMORY = 1 << 20
"""Of such an answer while it is sent; the rest is in a file."""

Start = Callable[[str, list[tuple[str, str]]], object]
Headers = list[tuple[str, str]]

_STATUS = {
    "403 Forbidden": (164, 497, 516),
    "404 Not Found": (46, 47, 60, 81, 115),
    "408 Request Timeout": (159,),
    "500 Internal Server Error": (49, 173, 236, 241, 243, 394, 1000, 1001, 1002),
    "501 Not Implemented": (48,),
    "503 Service Unavailable": (TOO_MANY,),
}
"""Of codes that are not the statement's fault, or for which HTTP has a word of its own; all others are 400."""

_STATUS_OF = {code: status for status, codes in _STATUS.items() for code in codes}


class Front:
    """The application. One user has full rights; analysts read, within limits. Who asks is known by then."""

    def __init__(self, engine: Engine, classifier: Classifier, turns: Turns, entrance: Entrance) -> None:
        self._engine, self._classifier, self._turns, self._entrance = engine, classifier, turns, entrance
        self._runs = {USER: self._run, ANALYST: self._read}

    def __call__(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        answer = self._answered(environ, start)
        if environ["REQUEST_METHOD"] != "HEAD":
            return answer
        if hasattr(answer, "close"):
            answer.close()
        return []

    def close(self) -> None:
        """End what reads statements."""
        self._classifier.close()

    def _answered(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] not in METHODS:
            return _whole(
                start, "405 Method Not Allowed", b"Send GET, HEAD or POST.\n", [("Allow", ", ".join(METHODS))]
            )
        if environ["PATH_INFO"] == "/ping" or (environ["PATH_INFO"] == "/" and _asks_nothing(environ)):
            return _whole(start, "200 OK", b"Ok.\n")
        if environ["PATH_INFO"] != "/":
            return _whole(start, "404 Not Found", b"There is no such page: statements go to /\n")
        if environ["tally.user"] is None:
            user = request.credentials(environ)[0][:100]
            said = f"{user or 'no user'}: Authentication failed: `tally status` tells user and password."
            return _refused(start, QueryFailed(f"Code: 516. DB::Exception: {said} (AUTHENTICATION_FAILED)"))
        try:
            if environ["tally.overfull"]:
                raise QueryFailed(_OVERFULL)
            return self._runs[environ["tally.user"]](environ, start)
        except QueryFailed as error:
            return _refused(start, error)
        except MemoryError:  # of a body that is held whole; the engine's own are QueryFailed
            return _refused(
                start, QueryFailed("Code: 241. DB::Exception: The warehouse's ceiling of memory is reached.")
            )
        except ValueError as error:
            return _refused(start, QueryFailed(f"Code: 27. DB::Exception: the request cannot be read: {error}"))

    def _run(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        asked = request.read(environ)
        statement = _statement(asked)
        if statement.writes_file and not request.may_write(environ):
            raise QueryFailed(
                "Code: 164. DB::Exception: Cannot write a file in readonly mode: send it by POST. (READONLY)"
            )
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
        self._entrance.check()
        with ExitStack() as held:
            held.enter_context(self._turns.place())
            asked = request.read(environ, policy.BODY)
            policy.check_size(asked.sql)
            mark = f"analyst-{secrets.token_hex(16)}"
            settings = policy.settings(asked.settings) | {"log_comment": mark}
            statement = _statement(asked)._replace(fills=None)
            policy.check_format(statement.format)
            self._classifier.check(asked.sql)
            with self._entrance.running():
                file = self._turns.run(
                    lambda: self._written(statement, settings, asked),
                    discard=lambda late: late.close(),
                    end=lambda: self._engine.end(mark),
                    gone=gone,
                    max_run_s=float(policy.LIMITS["max_execution_time"]),
                )
            held.enter_context(file)
            headers = [*_headers(statement, asked), *_ALWAYS, *compression.headers(asked.coding)]
            start("200 OK", [*headers, ("Content-Length", str(file.tell()))])
            file.seek(0)
            answer: Iterable[bytes] = environ["wsgi.file_wrapper"](_Kept(file, held.pop_all()))
            return answer

    def _written(self, statement: Statement, settings: dict[str, str], asked: Request) -> SpooledTemporaryFile[bytes]:
        """An analyst's answer, whole, as it is sent."""
        with ExitStack() as opened:
            file = opened.enter_context(SpooledTemporaryFile(IN_MEMORY))
            chunks = opened.enter_context(closing(self._chunks(statement, settings, asked.values)))
            whole = _bounded(chunks)
            for chunk in compression.packed(whole, asked.coding) if asked.coding else whole:
                file.write(chunk)
            chunks.close()
            opened.pop_all()
            return file

    def _chunks(
        self, statement: Statement, settings: dict[str, str], values: dict[str, str]
    ) -> Generator[bytes, None, None]:
        if statement.streams:
            try:
                yield from self._engine.stream(statement, settings, values, policy.ROLE)
                return
            except QueryFailed as error:
                if error.code != NOT_STREAMED:  # it says so before its first chunk
                    raise
        yield self._engine.run(statement, settings, values, policy.ROLE).body


class _Kept:
    """An answer as waitress sends it from its main loop. It holds its place until it is sent, or who asked is gone."""

    def __init__(self, file: SpooledTemporaryFile[bytes], held: ExitStack) -> None:
        self.read, self.seek, self.tell, self.close = file.read, file.seek, file.tell, held.close


_OVERFULL = (
    f"Code: {TOO_MANY}. DB::Exception: Too many simultaneous queries: too many connections of this user are busy: "
    "ask again when one is done. (TOO_MANY_SIMULTANEOUS_QUERIES)"
)


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
    status = _STATUS_OF.get(error.code, "400 Bad Request")
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
