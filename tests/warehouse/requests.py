"""Asking a front over HTTP as one of its users, without any client's own ideas."""

import http.client
import uuid
from contextlib import closing
from typing import NamedTuple
from urllib.parse import urlencode

from tests.warehouse.conftest import Front


class Said(NamedTuple):
    status: int
    code: str  # of ClickHouse's error, or empty
    text: str
    headers: dict[str, str]  # in lower case


def as_analyst(front: Front, sql: str | bytes = b"", method: str = "POST", **parameters: str) -> Said:
    return ask(front, front.facts["analyst"], sql, method, headers=None, **parameters)


def as_writer(front: Front, sql: str | bytes, **parameters: str) -> Said:
    return ask(front, front.facts, sql, headers=None, **parameters)


def ask(
    front: Front, who: dict[str, str], sql: str | bytes = b"", method: str = "POST",
    headers: dict[str, str] | None = None, **parameters: str,
) -> Said:  # fmt: skip
    with closing(http.client.HTTPConnection("127.0.0.1", front.facts["port"], timeout=120)) as connection:
        body = sql.encode() if isinstance(sql, str) else sql
        sent = {"X-ClickHouse-User": who["user"], "X-ClickHouse-Key": who["password"]} | (headers or {})
        connection.request(method, f"/?{urlencode(parameters)}", body, sent)
        found = connection.getresponse()
        heads = {name.lower(): value for name, value in found.getheaders()}
        text = found.read().decode(errors="replace")
        return Said(found.status, heads.get("x-clickhouse-exception-code", ""), text, heads)


def form(**fields: str) -> tuple[bytes, dict[str, str]]:
    """A multipart body with these fields, and the header that says so."""
    edge = uuid.uuid4().hex
    parts = [
        f'--{edge}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    return "".join([*parts, f"--{edge}--\r\n"]).encode(), {"Content-Type": f"multipart/form-data; boundary={edge}"}
