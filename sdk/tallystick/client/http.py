"""The ledger's HTTP door, as a client sees it: lines go, and what became of each comes back."""

import encodings.idna  # noqa: F401  (or the first request imports it, and who forks just then never gets it whole)
import logging
from collections.abc import Sequence
from typing import NamedTuple

import httpx

from tallystick.privacy.key_shapes import replace_keys

TIMEOUT_S = 10
_own_urls: set[str] = set()


def _is_foreign(record: logging.LogRecord) -> bool:
    """httpx says a line a request; those of ours are no news to the application."""
    message = record.getMessage()
    return not any(url in message for url in _own_urls)


logging.getLogger("httpx").addFilter(_is_foreign)


class Refusal(NamedTuple):
    """An event that the ledger does not take: which field, and what would enter instead. It names no value."""

    field: str
    reason: str


class NoAnswer(Exception):
    """Nothing was said of the events, so all are to be sent again: why, and after how many seconds at least."""

    def __init__(self, reason: str, after_s: float = 0.0, *, too_large: bool = False) -> None:
        super().__init__(reason)
        self.after_s = after_s
        self.too_large = too_large


class HttpClient:
    """Where events are sent to, and by whose right."""

    def __init__(self, url: str, token: str) -> None:
        self._client = httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/x-ndjson"},
            timeout=TIMEOUT_S,
        )
        self.url = replace_keys(url)  # log lines name it, and its password is nobody's news
        _own_urls.add(f"{url}/v1/events")

    def send(self, events: Sequence[bytes]) -> list[Refusal]:
        """Send lines, and return those that were refused; the others are durable. Unanswered where nothing is known."""
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
            raise NoAnswer(f"what answers at {self.url} is no ledger: look at TALLY_URL") from None
        if len(results) != len(events):
            raise NoAnswer(f"{self.url} answered {len(results)} of {len(events)} events")
        return refused


def _explain_status(url: str, response: httpx.Response) -> NoAnswer:
    status = response.status_code
    if status in (401, 403):
        return NoAnswer(f"{url} does not take our token ({status}): look at TALLY_TOKEN")
    after = response.headers.get("Retry-After", "")
    return NoAnswer(f"{url} answers {status}", float(after) if after.isdecimal() else 0.0, too_large=status == 413)
