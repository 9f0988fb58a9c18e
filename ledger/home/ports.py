"""Ports that parts listen on, looked at before someone does."""

import socket
from ipaddress import IPv4Address

from ledger.errors import TallyError
from ledger.http.host_check import LOOPBACK


def free_port(wanted: int, called: str, setting: str, bind: IPv4Address = LOOPBACK) -> int:
    """This port, or any that is free where it is 0. TallyError, naming who wants it, where nobody can listen there."""
    with bound(wanted, called, setting, bind) as probe:
        return int(probe.getsockname()[1])


def bound(wanted: int, called: str, setting: str, bind: IPv4Address = LOOPBACK) -> socket.socket:
    """The same as a socket, for who listens there itself."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((str(bind), wanted))
    except OSError as error:
        made.close()
        where = "" if bind == LOOPBACK else f" of TALLY_BIND {bind}"
        raise TallyError(
            f"the {called} cannot listen on {setting} {wanted}{where} ({error.strerror}): choose another port, or "
            f"0 for any free one{'; or an address of this machine' if where else ''}"
        ) from None
    return made


def reached_at(bind: IPv4Address) -> IPv4Address:
    """An address of this machine where what listens there answers."""
    return LOOPBACK if bind.is_unspecified else bind
