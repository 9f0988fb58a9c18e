"""Routes: which messages of an organization go where. A home keeps their addresses and secrets, for its owner alone."""

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

Channel = Literal["webhook", "slack", "pagerduty", "opsgenie", "teams", "email", "alertmanager"]
CHANNELS: tuple[Channel, ...] = get_args(Channel)
Severity = Literal["warning", "page"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
ADDRESS_FORMS: dict[Channel, str] = {
    "webhook": "https://host/path",
    "slack": "https://hooks.slack.com/services/…",
    "pagerduty": "the integration's key, or https://KEY@host/path where it is not events.pagerduty.com",
    "opsgenie": "the integration's key, or https://KEY@host where it is not api.opsgenie.com",
    "teams": "the address of a workflow's webhook, https://host/path",
    "email": "smtp://USER:PASSWORD@host:587/ann@example.com?from=tally@example.com",
    "alertmanager": "https://host:9093",
}
"""The form of an address of each channel."""
KEY_HOSTS: dict[Channel, str] = {"pagerduty": "events.pagerduty.com/v2/enqueue", "opsgenie": "api.opsgenie.com"}
"""The address to which a key alone belongs."""
SECRET_BYTES = 32
MAX_URL_LENGTH = 2_000


class Route(NamedTuple):
    """A route. ``since_ms`` is when it was created: earlier records are not delivered. ``gone`` is why it receives no
    more. ``team`` limits it to a team and those below, ``severity`` to alerts at least so severe, and ``after_s`` to
    alerts that nobody acknowledged for so long."""

    id: str
    organization: str
    channel: Channel
    address: str
    secret: str
    since_ms: int
    team: str | None = None
    severity: Severity = "warning"
    after_s: int | None = None
    gone: str | None = None

    def __repr__(self) -> str:
        """Show it in an error or a traceback without its secrets."""
        return f"Route({self.id!r}, {mask_address(self.address)!r})"


def mask_address(address: str) -> str:
    """Show an address by its scheme, its host and a mark: path, query, user and key may be secrets. The mark
    distinguishes two addresses of a host, and reveals nothing of them."""
    mark = "…" + hashlib.sha256(address.encode(errors="replace")).hexdigest()[:8]
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        return mark
    if not parts.scheme or not host:
        return mark
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}{f':{port}' if port is not None else ''}/{mark}"


def set_webhook(home: Path, organization: str, url: str, channel: Channel) -> Route:
    """Set the webhook of an organization, which gets all of its messages, in place of any before it. TallyError where
    the address is none."""
    check_organization(organization, "--organization", "have a webhook")
    if not _is_url(url, ("http", "https")):
        raise TallyError(f"the URL {mask_address(url)!r} cannot be a webhook: write one such as https://host/path")
    route = Route(name_webhook(organization), organization, channel, url, _make_secret(), _now_ms())
    with _lock_file(home):
        _write(home, list_routes(home) | {route.id: route})
    return route


def add_route(
    home: Path, organization: str, channel: Channel, address: str, team: str | None = None,
    severity: Severity = "warning", after_s: int | None = None,
) -> Route:  # fmt: skip
    """Add a route. TallyError where the address is none of its channel."""
    check_organization(organization, "--organization", "have a route")
    complete = _complete_address(channel, address)
    if complete is None:
        raise TallyError(
            f"{mask_address(address)!r} is no address of {channel}: write one such as {ADDRESS_FORMS[channel]}"
        )
    id = f"{channel}-{secrets.token_hex(4)}"
    route = Route(id, organization, channel, complete, _make_secret(), _now_ms(), team, severity, after_s)
    with _lock_file(home):
        _write(home, list_routes(home) | {route.id: route})
    return route


def remove_route(home: Path, id: str) -> Route:
    """Remove a route. TallyError where there is none of this id."""
    with _lock_file(home):
        routes = list_routes(home)
        removed = get_route(home, id)
        del routes[id]
        _write(home, routes)
    return removed


def remove_webhook(home: Path, organization: str) -> Route:
    """Remove the webhook of an organization. TallyError where it has none."""
    return remove_route(home, get_webhook(home, organization).id)


def mark_gone(home: Path, route: Route, reason: str) -> None:
    """Mark a route as gone, as its receiver answered: nothing more is sent to it."""
    with _lock_file(home):
        if (routes := list_routes(home)).get(route.id) == route:
            _write(home, routes | {route.id: route._replace(gone=reason)})


def get_route(home: Path, id: str) -> Route:
    """Return a route by its id. TallyError where there is none."""
    route = list_routes(home).get(id)
    if route is None:
        raise TallyError(f"no route {id!r} in {home}: `tally alerts route list` shows their ids")
    return route


def get_webhook(home: Path, organization: str) -> Route:
    """Return the webhook of an organization. TallyError where it has none."""
    route = list_routes(home).get(name_webhook(organization))
    if route is None:
        raise TallyError(f"{organization!r} has no webhook in {home}: set one with `tally alerts webhook URL`")
    return route


def name_webhook(organization: str) -> str:
    """Return the id of the route that is an organization's webhook."""
    return f"webhook-of-{organization}"


def list_routes(home: Path) -> dict[str, Route]:
    """Read every route of a home, by its id. TallyError where the file cannot be read, or is damaged."""
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
        return {route.id: route for route in parse_routes(content)}
    except ValueError as error:
        raise TallyError(
            f"{path} is damaged ({error}): restore it from a backup, or move it away and set each address again with "
            "`tally alerts webhook` and `tally alerts route add`, which make new secrets"
        ) from None


def parse_routes(content: bytes) -> list[Route]:
    """Read the routes of a file. ValueError, without any value of the file, where it is damaged."""
    try:
        entries = msgspec.json.decode(content, type=list[dict[str, Any]])
        routes = [msgspec.convert([entry[name] for name in Route._fields], Route) for entry in entries]
    except (msgspec.ValidationError, KeyError):
        raise ValueError("it is not a list of routes") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ValueError("it is not JSON" if content else "it is empty") from None
    for route in routes:
        if _complete_address(route.channel, route.address) != route.address:
            raise ValueError(f"the address of {route.id!r} is none")
        try:
            base64.b64decode(route.secret.removeprefix("whsec_"), validate=True)
        except ValueError:
            raise ValueError(f"the secret of {route.id!r} is none") from None
    return routes


def _complete_address(channel: Channel, address: str) -> str | None:
    """Return the address with the host that a key alone leaves out; None where it is none of the channel."""
    if channel in KEY_HOSTS and address.isalnum() and address.isascii():
        return f"https://{address}@{KEY_HOSTS[channel]}"
    schemes = ("smtp",) if channel == "email" else ("http", "https")
    if not _is_url(address, schemes):
        return None
    parts = urlsplit(address)
    has_parts = {"pagerduty": parts.username, "opsgenie": parts.username, "email": "@" in parts.path.strip("/@")}
    return address if has_parts.get(channel, True) else None


def _is_url(url: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(url)
        is_complete = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return is_complete and len(url) <= MAX_URL_LENGTH and all("!" <= character <= "~" for character in url)


def _make_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _file_path(home: Path) -> Path:
    return home / "routes.json"


def _lock_file(home: Path) -> Any:
    return locked(home / "run" / "routes.lock")


def _write(home: Path, routes: dict[str, Route]) -> None:
    content = json.dumps([route._asdict() for route in routes.values()], indent=1)
    try:
        write_atomically(_file_path(home), content, 0o600)
    except OSError as error:
        raise TallyError(
            f"cannot write {_file_path(home)} ({error.strerror}): free some disk space, or let the user that runs "
            "Tallystick write to its folder; what it held before still stands"
        ) from None
