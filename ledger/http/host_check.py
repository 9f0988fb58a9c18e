"""Check the host names that a server answers to. A foreign page can have its own name resolved to this machine (DNS
rebinding) and would then read our answers as its own; only the ``Host`` header shows it."""

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

_HOST = re.compile(r"(?:\[(?P<ipv6>[0-9a-f:.]{2,45})\]|(?P<name>[a-z0-9._-]{1,253}))(?::(?P<port>\d{1,5}))?", re.ASCII)
_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*", re.ASCII)
_DEFAULT_PORTS = {"http": 80, "https": 443}

LOOPBACK = IPv4Address("127.0.0.1")


class Authority(NamedTuple):
    """A host in lower case without brackets and final dot, and the port where one is named."""

    host: str
    port: int | None

    @property
    def address(self) -> IPv4Address | IPv6Address | None:
        """The IP address that the host is; None where the host is a name."""
        try:
            address = ip_address(self.host)
        except ValueError:
            return None
        return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address


class AllowedHosts(NamedTuple):
    """The names and addresses by which a server is reached: loopback's, those of ``bind`` and those that the operator
    names.

    An address cannot be rebound, so a server that listens on every address of the machine answers to any address."""

    bind: IPv4Address = LOOPBACK
    names: frozenset[str] = frozenset()

    def allow(self, headers: Sequence[str]) -> bool:
        """Tell whether a request with these ``Host`` headers is for this server: exactly one that names it."""
        authority = parse_authority(headers[0]) if len(headers) == 1 else None
        if authority is None:
            return False
        address = authority.address
        if address is None:
            return authority.host == "localhost" or authority.host in self.names
        if address.is_loopback or authority.host in self.names:
            return True
        return not self.bind.is_loopback and (self.bind.is_unspecified or address == self.bind)


def parse_authority(text: str) -> Authority | None:
    """Read a ``Host`` header, ``name[:port]``; None where it is malformed."""
    match = _HOST.fullmatch(text.strip(" \t").lower())
    if match is None:
        return None
    port = int(match["port"]) if match["port"] else None
    if port is not None and port > 65535:
        return None
    if match["ipv6"]:
        authority = Authority(match["ipv6"], port)
        return authority if isinstance(_address(match["ipv6"]), IPv6Address) else None
    host = match["name"].removesuffix(".")
    return Authority(host, port) if host else None


def is_same_origin(origin: str, host: str) -> bool:
    """Tell whether a browser's ``Origin`` is the page at this ``Host``: the same host and port. The scheme may be
    either, since a proxy may have ended TLS."""
    scheme, separator, location = origin.partition("://")
    page, server = parse_authority(location), parse_authority(host)
    if scheme not in _DEFAULT_PORTS or not separator or page is None or server is None:
        return False
    default = _DEFAULT_PORTS[scheme]
    return (page.host, page.port or default) == (server.host, server.port or default)


def parse_names(text: str) -> frozenset[str]:
    """Read the operator's names, separated by commas. ValueError names the first invalid one."""
    names = frozenset(name.strip().lower().removesuffix(".") for name in text.split(",") if name.strip())
    for name in sorted(names):
        if not _NAME.fullmatch(name) and _address(name) is None:
            raise ValueError(
                f"{name[:100]!r} is no host name: write names without scheme and port, separated by commas, for "
                "example tally.example.org"
            )
    return names


def describe_refusal(headers: Sequence[str]) -> str:
    """Describe why a request was refused, and the way out."""
    host = ascii(headers[0][:100]) if len(headers) == 1 else "no host" if not headers else "several hosts"
    return (
        f"This server does not answer to the host name of the request, {host}. Open the address that `tally status` "
        "shows, or add the name to TALLY_HOSTS and start again.\n"
    )


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None
