"""A request over ClickHouse's HTTP interface: its parameters, its statement and its credentials (pure)."""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from warehouse.embedded import compression

INTERFACE = {
    "query", "user", "password", "default_format", "query_id", "session_id", "session_timeout", "session_check",
    "quota_key", "role", "enable_http_compression", "compress", "wait_end_of_query", "buffer_size",
    "client_protocol_version",
}  # fmt: skip
"""Parameters of the interface itself; all others in the URL are settings, or the database."""

MAX_PARAMETERS = 1000
MAX_PART_HEADER_BYTES = 4 << 10

_BOUNDARY = re.compile(r';\s*+boundary=(?:"([^"]{1,70}+)"|([^\s;",]{1,70}+))', re.I)
_FIELD_NAME = re.compile(r'form-data\s*+;\s*+name="([^"]*+)"\s*+(?:;(.*+))?', re.I | re.S)
_FORMAT = re.compile(r"\w+", re.ASCII)


class Request(NamedTuple):
    """A statement and its options. ``values`` are the query parameters, ``{name:Type}``, escaped as in TabSeparated."""

    sql: bytes
    format: str
    settings: dict[str, str]
    values: dict[str, str]
    query_id: str
    coding: str | None  # how the answer is compressed


def read_credentials(environ: Mapping[str, Any]) -> tuple[str, str]:
    """Return user and password from the headers or the URL; empty where there are none."""
    if "HTTP_X_CLICKHOUSE_USER" in environ:
        return environ["HTTP_X_CLICKHOUSE_USER"], environ.get("HTTP_X_CLICKHOUSE_KEY", "")
    scheme, _, token = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    try:
        if scheme.lower() == "basic":
            user, _, password = base64.b64decode(token, validate=True).decode().partition(":")
            return user, password
        parameters = _parse_parameters(environ)
    except (binascii.Error, ValueError):
        return "", ""
    return parameters.get("user", ""), parameters.get("password", "")


def read_request(environ: Mapping[str, Any], max_body_bytes: int = compression.MAX_BODY_BYTES) -> Request:
    """Read a request after its body has arrived. ValueError where it is malformed, or its body has more than
    ``max_body_bytes`` once decompressed."""
    if int(environ.get("CONTENT_LENGTH") or 0) > max_body_bytes:
        raise compression.build_size_error(max_body_bytes)
    parameters = _parse_parameters(environ)
    body = compression.decompress(
        environ["wsgi.input"].read(), environ.get("HTTP_CONTENT_ENCODING", ""), max_body_bytes
    )
    content_type = environ.get("CONTENT_TYPE", "")
    if content_type.lower().startswith("multipart/"):  # how clients send parameters too large for a URL
        parameters, body = parameters | _parse_form(content_type, body), b""
    query_id = parameters.get("query_id", "")
    if not (query_id.isascii() and query_id.isprintable()):
        raise ValueError(f"query_id {query_id!r} cannot stand in a header: give it printable ASCII, or none")
    format = parameters.get("default_format") or environ.get("HTTP_X_CLICKHOUSE_FORMAT") or "TabSeparated"
    if not _FORMAT.fullmatch(format):
        raise ValueError(f"the format {format!r} is no name: give one of ClickHouse's formats, such as JSON, or none")
    query = parameters.get("query", "").encode()
    settings = {name: value for name, value in parameters.items() if name not in INTERFACE}
    values = {name: settings.pop(name) for name in list(settings) if name.startswith("param_")}
    if "HTTP_X_CLICKHOUSE_DATABASE" in environ:
        settings.setdefault("database", environ["HTTP_X_CLICKHOUSE_DATABASE"])
    if not is_writing_method(environ):
        settings["readonly"] = "1" if settings.get("readonly") == "1" else "2"
    return Request(
        sql=query + b"\n" + body if query and body else query or body,
        format=format,
        settings=settings,
        values={name.removeprefix("param_"): value for name, value in values.items()},
        query_id=query_id,
        coding=_choose_coding(parameters, environ.get("HTTP_ACCEPT_ENCODING", "")),
    )


def is_writing_method(environ: Mapping[str, Any]) -> bool:
    """Tell if the HTTP method may change data. GET never does, whatever ``readonly`` the URL has."""
    return bool(environ["REQUEST_METHOD"] == "POST")


def _parse_parameters(environ: Mapping[str, Any]) -> dict[str, str]:
    return dict(parse_qsl(environ["QUERY_STRING"], keep_blank_values=True, max_num_fields=MAX_PARAMETERS))


def _choose_coding(parameters: Mapping[str, str], accepted: str) -> str | None:
    if parameters.get("compress") in ("1", "true"):
        return compression.BLOCKS
    return compression.choose_coding(accepted) if parameters.get("enable_http_compression") in ("1", "true") else None


def _parse_form(content_type: str, body: bytes) -> dict[str, str]:
    """Read the fields of a multipart/form-data body (RFC 7578). ValueError where it is none, or holds a file or another
    multipart."""
    boundary = _BOUNDARY.search(content_type)
    if not content_type.lower().startswith("multipart/form-data") or boundary is None:
        raise ValueError(
            f"the Content-Type {content_type[:200]!r} is not supported: send multipart/form-data with a boundary"
        )
    delimiter = b"\r\n--" + str(boundary[1] or boundary[2]).encode()
    preamble, *parts = (b"\r\n" + body).split(delimiter, MAX_PARAMETERS + 1)
    if preamble or not parts or not parts[-1].startswith(b"--"):
        raise ValueError(
            f"the multipart body is not whole, or has more than {MAX_PARAMETERS} fields: begin and end it with its "
            "boundary, and give each part its header, an empty line, and its value"
        )
    return dict(_parse_field(part) for part in parts[:-1])


def _parse_field(part: bytes) -> tuple[str, str]:
    head, divider, content = part.partition(b"\r\n\r\n")
    if not divider or not head.startswith(b"\r\n") or len(head) > MAX_PART_HEADER_BYTES:
        raise ValueError("a part of the multipart body has no header, or a very long one: name its field there")
    lines = (line.partition(":") for line in head[2:].decode().split("\r\n"))
    headers = {name.strip().lower(): value.strip() for name, _, value in lines}
    field = _FIELD_NAME.fullmatch(headers.get("content-disposition", ""))
    if field is None:
        raise ValueError('a part of the multipart body names no field: write Content-Disposition: form-data; name="x"')
    name, options = str(field[1]), str(field[2] or "")
    if "filename" in options.lower():
        raise ValueError(f"external data ({name}) is not supported: insert it into a table")
    if headers.get("content-type", "").lower().startswith("multipart/"):
        raise ValueError(f"the field {name!r} is a multipart itself: send its value as text")
    if headers.get("content-transfer-encoding", "binary").lower() not in ("7bit", "8bit", "binary"):
        raise ValueError(f"the field {name!r} has a Content-Transfer-Encoding: send its value as it is")
    return name, content.decode()
