"""Ports: those that services listen on, checked before the start, and free ones."""

import random
import socket
from ipaddress import IPv4Address

from ledger.errors import TallyError
from ledger.http.host_check import LOOPBACK

HOST = "127.0.0.1"

PORTS = range(20_000, 32_000)
"""Ports to choose from. Above are the ports of outgoing connections, one of which may take ours between a stop and the
next start."""


def check_port(port: int, service: str, setting: str, bind: IPv4Address = LOOPBACK) -> int:
    """Return this port, or a free one where it is 0. TallyError, naming the service, where nothing can listen there."""
    with bind_port(port, service, setting, bind) as probe:
        return int(probe.getsockname()[1])


def bind_port(port: int, service: str, setting: str, bind: IPv4Address = LOOPBACK) -> socket.socket:
    """Bind a socket to this port, or to a free one where it is 0. TallyError, naming the service, where that fails."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((str(bind), port))
    except OSError as error:
        listener.close()
        place = "" if bind == LOOPBACK else f" of TALLY_BIND {bind}"
        raise TallyError(
            f"the {service} cannot listen on {setting} {port}{place} ({error.strerror}): choose another port, or "
            f"0 for any free one{'; or an address of this machine' if place else ''}"
        ) from None
    return listener


def find_reachable_address(bind: IPv4Address) -> IPv4Address:
    """Return an address of this machine at which a server that listens at ``bind`` answers."""
    return LOOPBACK if bind.is_unspecified else bind


def find_port_conflict(port: int) -> str | None:
    """Return why nothing can listen on this port now; None where it is free."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Java does
        try:
            probe.bind((HOST, port))
        except OSError as error:
            return error.strerror or type(error).__name__
    return None


def find_free_port() -> int:
    """Find a port that is free now."""
    return next(port for port in random.sample(PORTS, len(PORTS)) if find_port_conflict(port) is None)
