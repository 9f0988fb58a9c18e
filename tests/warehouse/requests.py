"""Asking a front over HTTP as one of its users, without any client's own ideas."""

import http.client
import uuid
from contextlib import closing
from typing import NamedTuple
from urllib.parse import urlencode

from tests.warehouse.conftest import Front


class Answer(NamedTuple):
    status: int
    code: str  # of ClickHouse's error, or empty
    text: str
    headers: dict[str, str]  # in lower case


def as_analyst(front: Front, sql: str | bytes = b"", method: str = "POST", **parameters: str) -> Answer:
    return ask(front, front.facts["analyst"], sql, method, headers=None, **parameters)


def as_writer(front: Front, sql: str | bytes, **parameters: str) -> Answer:
    return ask(front, front.facts, sql, headers=None, **parameters)


def ask(
    front: Front, account: dict[str, str], sql: str | bytes = b"", method: str = "POST",
    headers: dict[str, str] | None = None, **parameters: str,
) -> Answer:  # fmt: skip
    with closing(http.client.HTTPConnection("127.0.0.1", front.facts["port"], timeout=120)) as connection:
        body = sql.encode() if isinstance(sql, str) else sql
        request_headers = {"X-ClickHouse-User": account["user"], "X-ClickHouse-Key": account["password"]} | (
            headers or {}
        )
        connection.request(method, f"/?{urlencode(parameters)}", body, request_headers)
        response = connection.getresponse()
        response_headers = {name.lower(): value for name, value in response.getheaders()}
        text = response.read().decode(errors="replace")
        return Answer(response.status, response_headers.get("x-clickhouse-exception-code", ""), text, response_headers)


def form(**fields: str) -> tuple[bytes, dict[str, str]]:
    """A multipart body with these fields, and the header that says so."""
    boundary = uuid.uuid4().hex
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    return "".join([*parts, f"--{boundary}--\r\n"]).encode(), {
        "Content-Type": f"multipart/form-data; boundary={boundary}"
    }
