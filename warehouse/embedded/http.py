"""ClickHouse's HTTP interface as a WSGI application in front of the engine in this process.

It exists only because chDB's own HTTP handler cannot be started yet. So it stays thin: statements and answers pass
unchanged.
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
from warehouse.embedded.analyst.query_slots import QuerySlots
from warehouse.embedded.engine import Answer, Engine
from warehouse.embedded.errors import TOO_MANY_QUERIES_CODE, QueryFailed, build_busy_error
from warehouse.embedded.request import Request
from warehouse.embedded.statement import Statement, parse_statement
from warehouse.embedded.users import ANALYST, USER

NOT_STREAMED_CODE = 36
METHODS = ("GET", "HEAD", "POST")

MAX_ANSWER_BYTES = 128 << 20
"""The greatest answer to an analyst, before it is compressed."""

MAX_BUFFERED_BYTES = 1 << 20
"""The part of such an answer that stays in memory; a greater one is in a file."""

StartResponse = Callable[[str, list[tuple[str, str]]], object]
Headers = list[tuple[str, str]]

_CODES_BY_STATUS = {
    "403 Forbidden": (164, 497, 516),
    "404 Not Found": (46, 47, 60, 81, 115),
    "408 Request Timeout": (159,),
    "500 Internal Server Error": (49, 173, 236, 241, 243, 394, 1000, 1001, 1002),
    "501 Not Implemented": (48,),
    "503 Service Unavailable": (TOO_MANY_QUERIES_CODE,),
}
"""Codes that are not the statement's fault, or for which HTTP has a status of its own; all others are 400."""

_STATUS_BY_CODE = {code: status for status, codes in _CODES_BY_STATUS.items() for code in codes}


class HttpInterface:
    """The WSGI application. One user has full rights; analysts read, within limits. ``connections.py`` authenticates
    users."""

    def __init__(self, engine: Engine, classifier: Classifier, slots: QuerySlots, entrance: Entrance) -> None:
        self._engine, self._classifier, self._slots, self._entrance = engine, classifier, slots, entrance
        self._handlers = {USER: self._run_as_product, ANALYST: self._run_as_analyst}

    def __call__(self, environ: dict[str, Any], start: StartResponse) -> Iterable[bytes]:
        answer = self._respond(environ, start)
        if environ["REQUEST_METHOD"] != "HEAD":
            return answer
        if hasattr(answer, "close"):
            answer.close()
        return []

    def close(self) -> None:
        """End the classifier's process."""
        self._classifier.close()

    def _respond(self, environ: dict[str, Any], start: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] not in METHODS:
            return _send_body(
                start, "405 Method Not Allowed", b"Send GET, HEAD or POST.\n", [("Allow", ", ".join(METHODS))]
            )
        if environ["PATH_INFO"] == "/ping" or (environ["PATH_INFO"] == "/" and _is_empty_request(environ)):
            return _send_body(start, "200 OK", b"Ok.\n")
        if environ["PATH_INFO"] != "/":
            return _send_body(start, "404 Not Found", b"No such path; send statements to /\n")
        if environ["tally.user"] is None:
            user = request.read_credentials(environ)[0][:100]
            message = f"{user or 'no user'}: Authentication failed: `tally status` shows user and password."
            return _send_error(start, QueryFailed(f"Code: 516. DB::Exception: {message} (AUTHENTICATION_FAILED)"))
        try:
            if environ["tally.overfull"]:
                raise build_busy_error("too many connections of this user are busy: ask again when one is done")
            return self._handlers[environ["tally.user"]](environ, start)
        except QueryFailed as error:
            return _send_error(start, error)
        except MemoryError:  # from a body in memory; the engine's own are QueryFailed
            return _send_error(start, QueryFailed("Code: 241. DB::Exception: The warehouse's memory limit is reached."))
        except ValueError as error:
            return _send_error(start, QueryFailed(f"Code: 27. DB::Exception: the request cannot be read: {error}"))

    def _run_as_product(self, environ: dict[str, Any], start: StartResponse) -> Iterable[bytes]:
        query = request.read_request(environ)
        statement = _read_statement(query)
        if statement.is_file_output and not request.is_writing_method(environ):
            raise QueryFailed(
                "Code: 164. DB::Exception: Cannot write a file in readonly mode: send it by POST. (READONLY)"
            )
        headers = _build_headers(statement, query)
        if statement.is_streamable:
            chunks = self._engine.stream(statement, query.settings, query.values)
            try:
                first_chunk = next(chunks, b"")  # most errors come before the status is sent
            except QueryFailed as error:
                if error.code != NOT_STREAMED_CODE:
                    raise
            else:
                return _stream_body(start, chain([first_chunk], chunks), headers, query.coding)
        answer: Answer = self._engine.run(statement, query.settings, query.values)
        headers.append(("X-ClickHouse-Summary", json.dumps(answer.summary)))
        if query.coding:
            return _stream_body(start, iter([answer.body]), headers, query.coding)
        return _send_body(start, "200 OK", answer.body, headers)

    def _run_as_analyst(self, environ: dict[str, Any], start: StartResponse) -> Iterable[bytes]:
        """Run a statement as an analyst. The answer is complete before its first byte is sent, so a slow reader holds
        only a slot and a file."""
        is_client_gone: Callable[[], bool] = environ["waitress.client_disconnected"]
        self._entrance.check()
        with ExitStack() as stack:
            stack.enter_context(self._slots.reserved())
            query = request.read_request(environ, policy.MAX_BODY_BYTES)
            policy.check_size(query.sql)
            log_comment = f"analyst-{secrets.token_hex(16)}"
            settings = policy.build_settings(query.settings) | {"log_comment": log_comment}
            statement = _read_statement(query)._replace(target_table=None)
            policy.check_format(statement.format)
            self._classifier.check(query.sql)
            with self._entrance.running():
                file = self._slots.run(
                    lambda: self._write_answer(statement, settings, query),
                    discard=lambda late_file: late_file.close(),
                    kill=lambda: self._engine.kill_query(log_comment),
                    is_client_gone=is_client_gone,
                    max_run_s=float(policy.LIMITS["max_execution_time"]),
                )
            stack.enter_context(file)
            headers = [*_build_headers(statement, query), *_COMMON_HEADERS, *compression.headers(query.coding)]
            start("200 OK", [*headers, ("Content-Length", str(file.tell()))])
            file.seek(0)
            answer: Iterable[bytes] = environ["wsgi.file_wrapper"](_AnswerFile(file, stack.pop_all()))
            return answer

    def _write_answer(
        self, statement: Statement, settings: dict[str, str], query: Request
    ) -> SpooledTemporaryFile[bytes]:
        """Write an analyst's answer to a file, compressed as it is sent."""
        with ExitStack() as stack:
            file = stack.enter_context(SpooledTemporaryFile(MAX_BUFFERED_BYTES))
            chunks = stack.enter_context(closing(self._read_chunks(statement, settings, query.values)))
            bounded_chunks = _limit_bytes(chunks)
            for chunk in compression.compress_chunks(bounded_chunks, query.coding) if query.coding else bounded_chunks:
                file.write(chunk)
            chunks.close()
            stack.pop_all()
            return file

    def _read_chunks(
        self, statement: Statement, settings: dict[str, str], values: dict[str, str]
    ) -> Generator[bytes, None, None]:
        if statement.is_streamable:
            try:
                yield from self._engine.stream(statement, settings, values, policy.ROLE)
                return
            except QueryFailed as error:
                if error.code != NOT_STREAMED_CODE:  # the engine raises it before its first chunk
                    raise
        yield self._engine.run(statement, settings, values, policy.ROLE).body


class _AnswerFile:
    """An answer's file, sent from waitress's main loop. It holds its slot until it is sent or the client is gone."""

    def __init__(self, file: SpooledTemporaryFile[bytes], stack: ExitStack) -> None:
        self.read, self.seek, self.tell, self.close = file.read, file.seek, file.tell, stack.close


def _read_statement(query: Request) -> Statement:
    if not query.sql.strip():
        raise QueryFailed("Code: 62. DB::Exception: Syntax error: the query is empty. (SYNTAX_ERROR)")
    statement = parse_statement(query.sql, query.format)
    if statement.format.lower() in ("dataframe", "arrowtable"):  # the engine knows these too: objects of Python
        raise QueryFailed(f"Code: 73. DB::Exception: Unknown format {statement.format}. (UNKNOWN_FORMAT)")
    return statement


def _build_headers(statement: Statement, query: Request) -> Headers:
    return [("X-ClickHouse-Format", statement.format), ("X-ClickHouse-Query-Id", query.query_id)]


def _limit_bytes(chunks: Iterator[bytes]) -> Iterator[bytes]:
    byte_count = 0
    for chunk in chunks:
        byte_count += len(chunk)
        if byte_count > MAX_ANSWER_BYTES:
            raise QueryFailed(
                f"Code: 396. DB::Exception: Limit for result exceeded: an answer has at most "
                f"{MAX_ANSWER_BYTES >> 20} MiB: ask for less at a time. (TOO_MANY_ROWS_OR_BYTES)"
            )
        yield chunk


def _is_empty_request(environ: dict[str, Any]) -> bool:
    return environ["REQUEST_METHOD"] == "GET" and not environ["QUERY_STRING"]


_COMMON_HEADERS = [
    ("Content-Type", "text/plain; charset=UTF-8"),
    ("X-ClickHouse-Timezone", "UTC"),
    ("X-ClickHouse-Server-Display-Name", "tallystick"),
]


def _send_body(start: StartResponse, status: str, body: bytes, headers: Iterable[tuple[str, str]] = ()) -> list[bytes]:
    start(status, [*headers, *_COMMON_HEADERS, ("Content-Length", str(len(body)))])
    return [body]


def _send_error(start: StartResponse, error: QueryFailed) -> list[bytes]:
    status = _STATUS_BY_CODE.get(error.code, "400 Bad Request")
    headers = [("X-ClickHouse-Exception-Code", str(error.code))]
    if error.code == TOO_MANY_QUERIES_CODE:
        headers.append(("Retry-After", "1"))
    return _send_body(start, status, f"{error}\n".encode(), headers)


def _stream_body(
    start: StartResponse, chunks: Iterator[bytes], headers: Headers, coding: str | None
) -> Iterator[bytes]:
    tag = secrets.token_hex(8)
    start(
        "200 OK",
        [*headers, *_COMMON_HEADERS, ("X-ClickHouse-Exception-Tag", tag), *compression.headers(coding)],
    )
    body = _append_failure(chunks, tag)
    return compression.compress_chunks(body, coding) if coding else body


def _append_failure(chunks: Iterator[bytes], tag: str) -> Iterator[bytes]:
    """End an answer that fails half-way with its error, since the status was sent before."""
    try:
        yield from chunks
    except QueryFailed as error:
        message = f"{error}\n".encode()
        yield b"\r\n__exception__\r\n%b\r\n%b%d %b\r\n__exception__\r\n" % (
            tag.encode(),
            message,
            len(message),
            tag.encode(),
        )
