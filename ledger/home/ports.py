"""Ports that parts listen on, looked at before someone does."""

import socket
from ipaddress import IPv4Address

from ledger.errors import TallyError
from ledger.http.host_check import LOOPBACK


def check_port(port: int, service: str, setting: str, bind: IPv4Address = LOOPBACK) -> int:
    """This port, or any that is free where it is 0. TallyError, naming who wants it, where nobody can listen there."""
    with bind_port(port, service, setting, bind) as probe:
        return int(probe.getsockname()[1])


def bind_port(port: int, service: str, setting: str, bind: IPv4Address = LOOPBACK) -> socket.socket:
    """The same as a socket, for who listens there itself."""
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
    """An address of this machine where what listens there answers."""
    return LOOPBACK if bind.is_unspecified else bind
