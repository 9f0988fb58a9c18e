"""Webhooks: where each organization is told. A home keeps their addresses and secrets, readable by its owner alone."""

import base64
import json
import secrets
import time
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args
from urllib.parse import urlsplit

from ledger.errors import TallyError
from ledger.home import locked, write_atomically
from ledger.organizations import check_organization

Format = Literal["standard", "slack"]
FORMATS: tuple[Format, ...] = get_args(Format)
SECRET_BYTES = 32


class Webhook(NamedTuple):
    """``since_ms`` is when it was made: what the log took before is not told. ``gone`` is why nothing more is sent."""

    organization: str
    url: str
    format: Format
    secret: str
    since_ms: int
    gone: str | None = None


def put(home: Path, organization: str, url: str, format: Format) -> Webhook:
    """Tell an organization there from now on, and nowhere else. TallyError where that cannot be an address."""
    check_organization(organization, "--organization", "have a webhook")
    try:
        parts = urlsplit(url)
        possible = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        possible = False
    if not possible or len(url) > 2_000 or any(not "!" <= letter <= "~" for letter in url):
        raise TallyError(f"the URL {url[:200]!r} is none of a webhook: it looks like https://host/path")
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
    made = Webhook(organization, url, format, secret, time.time_ns() // 1_000_000)
    with _changing(home):
        _write(home, listed(home) | {organization: made})
    return made


def remove(home: Path, organization: str) -> Webhook:
    """Tell an organization nothing more. TallyError where it has no webhook."""
    with _changing(home):
        found = listed(home)
        removed = of(home, organization)
        del found[organization]
        _write(home, found)
    return removed


def end(home: Path, webhook: Webhook, why: str) -> None:
    """Send nothing more to this one, since its receiver said so."""
    with _changing(home):
        if (found := listed(home)).get(webhook.organization) == webhook:
            _write(home, found | {webhook.organization: webhook._replace(gone=why)})


def of(home: Path, organization: str) -> Webhook:
    """An organization's webhook. TallyError where it has none."""
    found = listed(home).get(organization)
    if found is None:
        raise TallyError(f"{organization!r} has no webhook in {home}: `tally alerts webhook URL` makes one")
    return found


def listed(home: Path) -> dict[str, Webhook]:
    """Every webhook of a home, by its organization."""
    path = _path(home)
    kept = json.loads(path.read_text()) if path.exists() else []
    return {one["organization"]: Webhook(**one) for one in kept}


def _path(home: Path) -> Path:
    return home / "webhooks.json"


def _changing(home: Path) -> Any:
    return locked(home / "run" / "webhooks.lock")


def _write(home: Path, webhooks: dict[str, Webhook]) -> None:
    write_atomically(_path(home), json.dumps([one._asdict() for one in webhooks.values()], indent=1), 0o600)
