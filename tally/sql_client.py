"""Queries over ClickHouse's HTTP interface, as any client sends them."""

import http.client
import re
import uuid
from collections.abc import Iterator
from contextlib import closing, suppress
from urllib.parse import urlencode, urlsplit

from ledger.errors import TallyError
from ledger.settings import Settings
from warehouse.client import Address, find_address

_HINTS = {
    164: "; tally sql only reads: use a client of your own to write (tally status shows how to connect)",
    396: "; reduce the result, or use JSONEachRow, which has no such limit",
}
"""A way out for ClickHouse's own messages, by its error code."""

KILL_TIMEOUT_S = 3
TAIL_BYTES = 64 * 1024
"""Bytes held back from the reader: an error in mid-stream is in the last 16 KiB of the answer."""


def run_statement(settings: Settings, sql: str, timeout: float | None = None) -> str:
    """Run a statement, which may write, and return the whole answer, tab-separated. TallyError where ClickHouse rejects
    it, or does not answer within ``timeout`` seconds."""
    return b"".join(_answer(settings, sql, {}, timeout)).decode()


def read_answer(settings: Settings, sql: str, default_format: str) -> Iterator[bytes]:
    """Yield the answer to a read-only statement as it arrives, in this format unless the statement names another.

    TallyError with ClickHouse's own message where it rejects the statement, also in the middle of the answer. The
    query is killed when the reader stops, by Ctrl-C or otherwise.
    """
    query_tag = f"tally-sql-{uuid.uuid4().hex}"
    tag_parameter = (
        {"query_id": query_tag} if settings.warehouse else {"log_comment": query_tag}
    )  # chDB gives ids of its own
    try:
        yield from _answer(settings, sql, {"default_format": default_format, "readonly": "1"} | tag_parameter)
    except (KeyboardInterrupt, GeneratorExit):
        condition = f"query_id = '{query_tag}'" if settings.warehouse else f"Settings['log_comment'] = '{query_tag}'"
        with suppress(TallyError):  # an unreachable server runs nothing
            b"".join(_answer(settings, f"KILL QUERY WHERE {condition}", {}, timeout=KILL_TIMEOUT_S))
        raise


def _answer(settings: Settings, sql: str, parameters: dict[str, str], timeout: float | None = None) -> Iterator[bytes]:
    server = find_address(settings)
    url = urlsplit(server.url)
    connection_type = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    with closing(connection_type(url.hostname or "", url.port, timeout=timeout)) as connection:
        try:
            response = _send(connection, server, sql, parameters)
            buffer = b""
            while chunk := response.read1(TAIL_BYTES):
                buffer += chunk
                yield buffer[:-TAIL_BYTES]
                buffer = buffer[-TAIL_BYTES:]
        except (OSError, http.client.HTTPException) as error:
            raise TallyError(
                f"the warehouse at {server.url} does not answer ({error!r}): `tally status` shows the services"
            ) from None
        rows, marker, message = buffer.partition(b"\r\n__exception__\r\n")
        yield rows
        if marker:
            raise TallyError(_format_error(message))


def _send(
    connection: http.client.HTTPConnection, server: Address, sql: str, parameters: dict[str, str]
) -> http.client.HTTPResponse:
    headers = {"X-ClickHouse-User": server.user, "X-ClickHouse-Key": server.password}
    connection.request("POST", f"/?{urlencode(parameters)}", sql.encode(), headers)
    response = connection.getresponse()
    if response.status != 200:
        raise TallyError(_format_error(response.read()))
    return response


def _format_error(message: bytes) -> str:
    """Return ClickHouse's message without its version and what follows it."""
    text = " ".join(message.decode(errors="replace").replace("__exception__", "").split())
    text = re.sub(r"\s*\(version [^()]*(\([^()]*\))?[^()]*\).*$", "", text)
    text = re.sub(r"(Code: \d+\. )\1+", r"\1", text.replace("DB::Exception: ", ""))
    return f"the warehouse rejected the statement: {text}" + "".join(
        hint for code, hint in _HINTS.items() if f"Code: {code}." in text
    )
