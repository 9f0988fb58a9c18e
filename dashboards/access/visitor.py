"""Who is *here* (pure): the owner of the home at this machine, with the dashboards' own page open from loopback.

Another user of the machine, a page of another origin, and whoever comes through a proxy or a tunnel are not."""

from collections.abc import Mapping
from ipaddress import ip_address

from ledger.http.host_check import is_same_origin, parse_authority

_FORWARDED = ("forwarded", "via", "x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip")


def is_loopback(host: str) -> bool:
    """Tell whether a host without port and brackets is this machine's loopback."""
    authority = parse_authority(f"[{host}]" if ":" in host else host)
    if authority is None:
        return False
    return authority.host == "localhost" or (authority.address is not None and authority.address.is_loopback)


def find_remote_reason(bind: str | None, headers: Mapping[str, str]) -> str | None:
    """Say why a request may be of somebody who is not at this machine; None where it is not.

    ``bound`` is where the server listens (None is every address); ``headers`` have names in lower case."""
    if bind is None or not is_loopback(bind):
        return f"the pages listen at {bind or 'every address of this machine'}"
    host = headers.get("host", "")
    authority = parse_authority(host)
    if authority is None or not is_loopback(authority.host):
        return f"your browser has this page from {host or 'nowhere'}"
    if forwarding_header := next((name for name in headers if name in _FORWARDED or name.startswith("x-forwarded-")), None):
        return f"a proxy passed this page on (it says so in the header {forwarding_header})"
    return None


def find_foreign_reason(headers: Mapping[str, str]) -> str | None:
    """Say why a page may not be the dashboards' own; None where it is: a browser names its origin with each
    connection."""
    origin = headers.get("origin")
    if origin is None:
        return "what asks names no page that it comes from"
    return None if is_same_origin(origin, headers.get("host", "")) else f"the page that asks is of {origin}"


def is_own_process(uid: int | None, owner_uid: int, is_known: bool) -> bool:
    """Tell whether the process at the other end is of the home's owner, or of root who reads everything anyway.

    Where the system does not say whose a connection is (``is_known``), nobody is told apart."""
    return uid in (owner_uid, 0) if is_known else True


def is_loopback_address(address: str) -> bool:
    """Tell whether an IP address is loopback's."""
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False
