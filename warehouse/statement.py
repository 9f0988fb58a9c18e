"""What a request over ClickHouse's HTTP interface asks for (pure)."""

import re
from collections.abc import Mapping
from typing import NamedTuple

# Parameters of the interface itself; whatever else stands in the URL is a setting of the query.
INTERFACE = {
    "query", "user", "password", "database", "default_format", "query_id", "session_id", "session_timeout",
    "session_check", "quota_key", "role", "compress", "decompress", "enable_http_compression",
    "http_zlib_compression_level", "wait_end_of_query", "buffer_size", "send_progress_in_http_headers",
    "add_http_cors_header", "stacktrace", "client_protocol_version",
}  # fmt: skip
# Chunks of these concatenate to one answer; other formats have a head and a tail.
STREAMED = frozenset(("native", "rowbinary", "jsoneachrow"))

_INSERT = re.compile(rb"\s*insert\s+into\s.*?\bformat\s+(\w+)[ \t]*(?:\r?\n|;|$|(?=[\s{\[(]))", re.I | re.S)
_SOURCE = re.compile(rb"\b(?:select|values|with)\b", re.I)
_FORMAT = re.compile(r"\bformat\s+(\w+)\s*(?:settings\b[^;]*)?;?\s*$", re.I)
_READS = re.compile(r"\s*(?:select|with)\b", re.I)
_INTO = re.compile(r"into\s+(?:table\s+)?(?:function\s+)?([`\w.]+)", re.I)


class Insert(NamedTuple):
    """Data that follows the statement: ``head`` has no FORMAT clause, ``start`` is the first byte of the data in
    the body."""

    head: str
    format: str
    start: int
    table: str


class Query(NamedTuple):
    """Any other statement. ``streams`` says that the answer can be sent while it is made."""

    sql: str
    format: str
    streams: bool


def read(parameters: Mapping[str, str], body: bytes, default_format: str | None) -> Insert | Query:
    """The statement of a request: in the parameter ``query``, whose data is then the body, or in the body.

    ``body`` may be its beginning only, as long as that holds the whole head of an INSERT.
    """
    asked = parameters.get("query", "").encode()
    for text, start in ((asked, False), (body, True)):
        found = _INSERT.match(text)
        if found and not _SOURCE.search(text, 0, found.end()):
            head = text[: found.end()].decode()
            head = re.sub(r"\bformat\s+\w+\s*;?\s*$", "", head, flags=re.I)
            into = _INTO.search(head)
            name = into.group(1) if into else ""
            return Insert(head, found.group(1).decode(), found.end() if start else 0, name.replace("`", ""))
    sql = (asked + b"\n" + body if asked and body else asked or body).decode()
    said = _FORMAT.search(sql)
    format = said.group(1) if said else parameters.get("default_format") or default_format or "TabSeparated"
    return Query(sql, format, bool(_READS.match(sql)) and format.lower() in STREAMED)


def settings(parameters: Mapping[str, str]) -> dict[str, str]:
    """The query's settings, and its database."""
    some = {
        name: value for name, value in parameters.items() if name not in INTERFACE and not name.startswith("param_")
    }
    if parameters.get("database"):
        some["database"] = parameters["database"]
    return some


def values(parameters: Mapping[str, str]) -> dict[str, str]:
    """The values of the query's own parameters, ``{name:Type}``."""
    return {name.removeprefix("param_"): value for name, value in parameters.items() if name.startswith("param_")}
