"""Recognition of the home's owner at this machine (pure), with the dashboards' own page open from loopback.

Another user of the machine, a page of another origin, and a request through a proxy or a tunnel are not recognised."""

from collections.abc import Mapping
from ipaddress import ip_address

from ledger.http.host_check import is_same_origin, parse_authority

HTTPS_PORT = 443
_FORWARDED = ("forwarded", "via", "x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip")


def is_loopback(host: str) -> bool:
    """Tell whether a host without port and brackets is this machine's loopback."""
    authority = parse_authority(f"[{host}]" if ":" in host else host)
    if authority is None:
        return False
    return authority.host == "localhost" or (authority.address is not None and authority.address.is_loopback)


def find_remote_reason(bind: str | None, headers: Mapping[str, str]) -> str | None:
    """Explain why a request may come from another machine; None where it does not.

    ``bind`` is where the server listens (None is every address); ``headers`` have names in lower case."""
    if bind is None or not is_loopback(bind):
        return f"the pages listen at {bind or 'every address of this machine'}"
    host = headers.get("host", "")
    authority = parse_authority(host)
    if authority is None or not is_loopback(authority.host):
        return f"your browser has this page from {host or 'nowhere'}"
    if forwarding_header := next(
        (name for name in headers if name in _FORWARDED or name.startswith("x-forwarded-")), None
    ):
        return f"a proxy passed this page on (it says so in the header {forwarding_header})"
    return None


def find_foreign_reason(headers: Mapping[str, str], port: int | None) -> str | None:
    """Explain why the page that asks may not be the dashboards' own; None where it is. Browsers name the origin of a
    page with each connection.

    ``port`` is where the server listens, with plain HTTP. So an HTTPS page at that port is not its own, unless a proxy
    that ends TLS says that it passed the request on."""
    origin = headers.get("origin")
    if origin is None:
        return "the request names no page that it comes from"
    scheme, _, authority = origin.partition("://")
    page = parse_authority(authority)
    is_tls_ended = headers.get("x-forwarded-proto", "").lower() == "https"
    is_other_scheme = scheme == "https" and page is not None and (page.port or HTTPS_PORT) == port and not is_tls_ended
    if is_other_scheme or not is_same_origin(origin, headers.get("host", "")):
        return f"the request comes from a page of {origin}"
    return None


def is_own_process(uid: int | None, owner_uid: int, is_known: bool) -> bool:
    """Tell whether the process at the other end belongs to the home's owner, or to root, who reads everything anyway.

    True for every process where the system does not name the owner of a connection (not ``is_known``)."""
    return uid in (owner_uid, 0) if is_known else True


def is_loopback_address(address: str) -> bool:
    """Tell whether an IP address is loopback's."""
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False
