"""Webhooks of the organizations. A home keeps their addresses and secrets, readable by its owner alone."""

import base64
import hashlib
import json
import secrets
import time
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args
from urllib.parse import urlsplit

import msgspec

from ledger.errors import TallyError
from ledger.home.files import write_atomically
from ledger.home.locks import locked
from ledger.organizations import check_organization

Format = Literal["standard", "slack"]
FORMATS: tuple[Format, ...] = get_args(Format)
SECRET_BYTES = 32
MAX_URL_LENGTH = 2_000


class Webhook(NamedTuple):
    """A webhook. ``since_ms`` is when it was created: earlier records are not delivered. ``gone`` is why it receives no
    more."""

    organization: str
    url: str
    format: Format
    secret: str
    since_ms: int
    gone: str | None = None

    def __repr__(self) -> str:
        """Show it in an error or a traceback without its secrets."""
        return f"Webhook({self.organization!r}, {mask_url(self.url)!r})"


def mask_url(url: str) -> str:
    """Show an address by its scheme, its host and a mark: path, query and user may be secrets, as Slack's are. The mark
    distinguishes two addresses of a host, and reveals nothing of them."""
    mark = "…" + hashlib.sha256(url.encode(errors="replace")).hexdigest()[:8]
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return mark
    if not parts.scheme or not host:
        return mark
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}{f':{port}' if port is not None else ''}/{mark}"


def put(home: Path, organization: str, url: str, format: Format) -> Webhook:
    """Set the webhook of an organization in place of any other. TallyError where the address is none."""
    check_organization(organization, "--organization", "have a webhook")
    if not _is_webhook_url(url):
        raise TallyError(f"the URL {mask_url(url)!r} cannot be a webhook: write one such as https://host/path")
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
    webhook = Webhook(organization, url, format, secret, time.time_ns() // 1_000_000)
    with _lock_file(home):
        _write(home, list_webhooks(home) | {organization: webhook})
    return webhook


def remove(home: Path, organization: str) -> Webhook:
    """Remove the webhook of an organization. TallyError where it has none."""
    with _lock_file(home):
        webhooks = list_webhooks(home)
        removed = get_webhook(home, organization)
        del webhooks[organization]
        _write(home, webhooks)
    return removed


def mark_gone(home: Path, webhook: Webhook, reason: str) -> None:
    """Mark a webhook as gone, as its receiver answered: nothing more is sent to it."""
    with _lock_file(home):
        if (webhooks := list_webhooks(home)).get(webhook.organization) == webhook:
            _write(home, webhooks | {webhook.organization: webhook._replace(gone=reason)})


def get_webhook(home: Path, organization: str) -> Webhook:
    """Return the webhook of an organization. TallyError where it has none."""
    webhook = list_webhooks(home).get(organization)
    if webhook is None:
        raise TallyError(f"{organization!r} has no webhook in {home}: set one with `tally alerts webhook URL`")
    return webhook


def list_webhooks(home: Path) -> dict[str, Webhook]:
    """Read every webhook of a home, by its organization. TallyError where the file cannot be read, or is damaged."""
    path = _file_path(home)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise TallyError(
            f"cannot read {path} ({error.strerror}): let the user that runs Tallystick read and write it (chown, chmod)"
        ) from None
    try:
        return {webhook.organization: webhook for webhook in parse_webhooks(content)}
    except ValueError as error:
        raise TallyError(
            f"{path} is damaged ({error}): restore it from a backup, or move it away and set each webhook again with "
            "`tally alerts webhook`, which makes new secrets"
        ) from None


def parse_webhooks(content: bytes) -> list[Webhook]:
    """Read the webhooks of a file. ValueError, without any value of the file, where it is damaged."""
    try:
        entries = msgspec.json.decode(content, type=list[dict[str, Any]])
        webhooks = [msgspec.convert([entry[name] for name in Webhook._fields], Webhook) for entry in entries]
    except (msgspec.ValidationError, KeyError):
        raise ValueError("it is not a list of webhooks") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ValueError("it is not JSON" if content else "it is empty") from None
    for webhook in webhooks:
        if not _is_webhook_url(webhook.url):
            raise ValueError(f"the address of {webhook.organization!r} is none")
        try:
            base64.b64decode(webhook.secret.removeprefix("whsec_"), validate=True)
        except ValueError:
            raise ValueError(f"the secret of {webhook.organization!r} is none") from None
    return webhooks


def _is_webhook_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        is_complete = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return is_complete and len(url) <= MAX_URL_LENGTH and all("!" <= character <= "~" for character in url)


def _file_path(home: Path) -> Path:
    return home / "webhooks.json"


def _lock_file(home: Path) -> Any:
    return locked(home / "run" / "webhooks.lock")


def _write(home: Path, webhooks: dict[str, Webhook]) -> None:
    content = json.dumps([webhook._asdict() for webhook in webhooks.values()], indent=1)
    try:
        write_atomically(_file_path(home), content, 0o600)
    except OSError as error:
        raise TallyError(
            f"cannot write {_file_path(home)} ({error.strerror}): free some disk space, or let the user that runs "
            "Tallystick write to its folder; what it held before still stands"
        ) from None
