"""Questions to the warehouse through ClickHouse's HTTP interface, as any client asks them."""

import http.client
import re
import uuid
from collections.abc import Iterator
from contextlib import closing, suppress
from urllib.parse import urlencode, urlsplit

from ledger.errors import TallyError
from ledger.settings import Settings
from warehouse.client import Address, address

_HINTS = {
    164: "; tally sql only reads: a client of your own may write (tally status tells how to connect)",
    396: "; ask for less, or for JSONEachRow, which has no such limit",
}
"""The way out of what ClickHouse says in its own words, by its code."""

KILL_S = 3
_HELD = 64 * 1024
"""An error that comes in mid-stream stands in the last bytes: ClickHouse keeps it under 16 KiB."""


def ask(settings: Settings, sql: str, timeout: float | None = None) -> str:
    """The whole answer, tab-separated; the statement may write. TallyError where ClickHouse refuses, or is silent for
    so many seconds."""
    return b"".join(_answer(settings, sql, {}, timeout)).decode()


def read(settings: Settings, sql: str, form: str) -> Iterator[bytes]:
    """The answer to a statement that only reads, as it comes, in this format unless it names another.

    TallyError with ClickHouse's own words where it refuses, also in the middle of its answer. Whoever stops
    reading, by Ctrl-C or otherwise, ends the query too.
    """
    mark = f"tally-sql-{uuid.uuid4().hex}"
    named = {"query_id": mark} if settings.warehouse else {"log_comment": mark}  # chDB gives ids of its own
    try:
        yield from _answer(settings, sql, {"default_format": form, "readonly": "1"} | named)
    except (KeyboardInterrupt, GeneratorExit):
        where = f"query_id = '{mark}'" if settings.warehouse else f"Settings['log_comment'] = '{mark}'"
        with suppress(TallyError):  # who is away runs nothing
            b"".join(_answer(settings, f"KILL QUERY WHERE {where}", {}, timeout=KILL_S))
        raise


def _answer(settings: Settings, sql: str, parameters: dict[str, str], timeout: float | None = None) -> Iterator[bytes]:
    where = address(settings)
    url = urlsplit(where.url)
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    with closing(kind(url.hostname or "", url.port, timeout=timeout)) as connection:
        try:
            response = _sent(connection, where, sql, parameters)
            held = b""
            while chunk := response.read1(_HELD):
                held += chunk
                yield held[:-_HELD]
                held = held[-_HELD:]
        except (OSError, http.client.HTTPException) as error:
            raise TallyError(
                f"the warehouse at {where.url} does not answer ({error!r}): `tally status` shows what runs"
            ) from None
        whole, broken, trouble = held.partition(b"\r\n__exception__\r\n")
        yield whole
        if broken:
            raise TallyError(_sentence(trouble))


def _sent(
    connection: http.client.HTTPConnection, where: Address, sql: str, parameters: dict[str, str]
) -> http.client.HTTPResponse:
    headers = {"X-ClickHouse-User": where.user, "X-ClickHouse-Key": where.password}
    connection.request("POST", f"/?{urlencode(parameters)}", sql.encode(), headers)
    response = connection.getresponse()
    if response.status != 200:
        raise TallyError(_sentence(response.read()))
    return response


def _sentence(trouble: bytes) -> str:
    """ClickHouse's words without its version and what follows it."""
    text = " ".join(trouble.decode(errors="replace").replace("__exception__", "").split())
    text = re.sub(r"\s*\(version [^()]*(\([^()]*\))?[^()]*\).*$", "", text)
    text = re.sub(r"(Code: \d+\. )\1+", r"\1", text.replace("DB::Exception: ", ""))
    return f"the warehouse refused: {text}" + "".join(hint for code, hint in _HINTS.items() if f"Code: {code}." in text)
