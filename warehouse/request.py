"""A request over ClickHouse's HTTP interface: its parameters, its text, and who asks (pure)."""

import base64
import binascii
from collections.abc import Mapping
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from warehouse import compression

INTERFACE = {
    "query", "user", "password", "default_format", "query_id", "session_id", "session_timeout", "session_check",
    "quota_key", "role", "enable_http_compression", "compress", "wait_end_of_query", "buffer_size",
    "client_protocol_version",
}  # fmt: skip
"""Parameters of the interface itself; whatever else stands in the URL is a setting, or the database."""


class Request(NamedTuple):
    """What is asked; ``values`` are the query's own parameters, ``{name:Type}``, escaped as in TabSeparated."""

    sql: bytes
    format: str
    settings: dict[str, str]
    values: dict[str, str]
    query_id: str
    coding: str | None  # how the answer is compressed


def credentials(environ: Mapping[str, Any]) -> tuple[str, str]:
    """User and password, wherever they stand; empty where they do not."""
    if "HTTP_X_CLICKHOUSE_USER" in environ:
        return environ["HTTP_X_CLICKHOUSE_USER"], environ.get("HTTP_X_CLICKHOUSE_KEY", "")
    scheme, _, said = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(said, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return "", ""
        return user, password
    parameters = dict(parse_qsl(environ["QUERY_STRING"], keep_blank_values=True))
    return parameters.get("user", ""), parameters.get("password", "")


def read(environ: Mapping[str, Any], most: int = compression.BODY) -> Request:
    """Read a request whose body is there whole. ValueError where it cannot be read, or its body has more than so many
    bytes once unpacked."""
    if int(environ.get("CONTENT_LENGTH") or 0) > most:
        raise compression.too_large(most)
    parameters = dict(parse_qsl(environ["QUERY_STRING"], keep_blank_values=True))
    body = compression.unpacked(environ["wsgi.input"].read(), environ.get("HTTP_CONTENT_ENCODING", ""), most)
    kind = environ.get("CONTENT_TYPE", "")
    if kind.lower().startswith("multipart/form-data"):  # how clients send parameters too large for a URL
        parameters, body = parameters | _form(kind, body), b""
    query_id = parameters.get("query_id", "")
    if not (query_id.isascii() and query_id.isprintable()):
        raise ValueError(f"query_id {query_id!r} cannot stand in a header: give it printable ASCII, or none")
    asked = parameters.get("query", "").encode()
    settings = {name: value for name, value in parameters.items() if name not in INTERFACE}
    values = {name: settings.pop(name) for name in list(settings) if name.startswith("param_")}
    if "HTTP_X_CLICKHOUSE_DATABASE" in environ:
        settings.setdefault("database", environ["HTTP_X_CLICKHOUSE_DATABASE"])
    if environ["REQUEST_METHOD"] == "GET":
        settings.setdefault("readonly", "2")  # as ClickHouse does: a link never writes
    return Request(
        sql=asked + b"\n" + body if asked and body else asked or body,
        format=parameters.get("default_format") or environ.get("HTTP_X_CLICKHOUSE_FORMAT") or "TabSeparated",
        settings=settings,
        values={name.removeprefix("param_"): value for name, value in values.items()},
        query_id=query_id,
        coding=_coding(parameters, environ.get("HTTP_ACCEPT_ENCODING", "")),
    )


def _coding(parameters: Mapping[str, str], accepted: str) -> str | None:
    if parameters.get("compress") in ("1", "true"):
        return compression.BLOCKS
    return compression.chosen(accepted) if parameters.get("enable_http_compression") in ("1", "true") else None


def _form(kind: str, body: bytes) -> dict[str, str]:
    form = BytesParser(policy=HTTP).parsebytes(f"Content-Type: {kind}\r\n\r\n".encode() + body)
    fields: dict[str, str] = {}
    for part in form.iter_parts():
        name = part.get_param("name", header="content-disposition")
        if part.get_filename() is not None:
            raise ValueError(f"external data ({name}) is not known here: put it into a table")
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)  # it is not a multipart itself
        fields[str(name)] = content.decode()
    return fields
