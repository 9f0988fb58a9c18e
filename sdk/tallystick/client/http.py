"""A client of the HTTP API: send lines, and return the rejected ones."""

import encodings.idna  # noqa: F401  (a fork during the import by the first request would leave it half imported)
import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx

from tallystick.privacy.key_shapes import replace_keys

TIMEOUT_S = 10
ADMISSION_TIMEOUT_S = 15
"""Longer than the ledger itself waits for an answer."""
_own_urls: set[str] = set()


def _is_foreign(record: logging.LogRecord) -> bool:
    """Tell whether a log line of httpx is about another request than ours; ours do not concern the application."""
    message = record.getMessage()
    return not any(url in message for url in _own_urls)


logging.getLogger("httpx").addFilter(_is_foreign)


class Refusal(NamedTuple):
    """An event that the ledger rejected: the field, and the value that would be accepted. It names no value."""

    field: str
    reason: str


class NoAnswer(Exception):
    """The ledger did not answer for the events, so all are sent again, after at least ``after_s`` seconds."""

    def __init__(self, reason: str, after_s: float = 0.0, *, too_large: bool = False) -> None:
        super().__init__(reason)
        self.after_s = after_s
        self.too_large = too_large


class HttpClient:
    """The HTTP connection to a ledger, with the token."""

    def __init__(self, url: str, token: str) -> None:
        self._client = httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/x-ndjson"},
            timeout=TIMEOUT_S,
        )
        self.url = replace_keys(url)  # log lines name it, without its password
        _own_urls.update((f"{url}/v1/events", f"{url}/v1/admissions", f"{url}/v1/leases"))

    def send(self, events: Sequence[bytes]) -> list[Refusal]:
        """Send lines, and return the rejected ones; the others are durable. NoAnswer where the result is unknown."""
        try:
            response = self._client.post("/v1/events", content=b"\n".join(events))
        except httpx.HTTPError as error:
            raise NoAnswer(f"{self.url} does not answer ({type(error).__name__})") from None
        if response.status_code != 200:
            raise _explain_status(self.url, response)
        try:
            results = response.json()["results"]
            refused = [Refusal(str(result["field"]), str(result["reason"])) for result in results if "reason" in result]
        except (ValueError, TypeError, KeyError):
            raise NoAnswer(f"{self.url} is no ledger: check TALLY_URL") from None
        if len(results) != len(events):
            raise NoAnswer(f"{self.url} answered {len(results)} of {len(events)} events")
        return refused

    def ask(self, ask: dict[str, Any]) -> tuple[int, Any]:
        """Ask for an admission, and return the status and the document of the answer. NoAnswer where there is none."""
        return self._exchange("POST", "/v1/admissions", ask)

    def release(self, admission: str) -> tuple[int, Any]:
        """Release an admission, and return the status and the document of the answer. NoAnswer where there is none."""
        return self._exchange("DELETE", f"/v1/admissions/{quote(admission)}")

    def lease(self, ask: dict[str, Any]) -> tuple[int, Any]:
        """Ask for a lease, and return the status and the document of the answer. NoAnswer where there is none."""
        return self._exchange("POST", "/v1/leases", ask)

    def return_lease(self, lease: str, amounts: Mapping[str, Any]) -> tuple[int, Any]:
        """Return amounts of a lease, and return the status and the document of the answer. NoAnswer where there is
        none."""
        return self._exchange("POST", f"/v1/leases/{quote(lease)}/return", dict(amounts))

    def _exchange(self, method: str, path: str, document: Any = None) -> tuple[int, Any]:
        headers = {"Content-Type": "application/json"}
        try:
            response = self._client.request(method, path, json=document, headers=headers, timeout=ADMISSION_TIMEOUT_S)
            return response.status_code, response.json()
        except httpx.HTTPError as error:
            raise NoAnswer(f"{self.url} does not answer ({type(error).__name__})") from None
        except ValueError:
            raise NoAnswer(f"{self.url} is no ledger: check TALLY_URL") from None


def _explain_status(url: str, response: httpx.Response) -> NoAnswer:
    status = response.status_code
    if status in (401, 403):
        return NoAnswer(f"{url} does not accept the token ({status}): check TALLY_TOKEN")
    after = response.headers.get("Retry-After", "")
    return NoAnswer(f"{url} answers {status}", float(after) if after.isdecimal() else 0.0, too_large=status == 413)
