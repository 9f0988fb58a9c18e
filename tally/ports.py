"""Ports that parts listen on, looked at before someone does."""

import socket
from ipaddress import IPv4Address

from ledger.errors import TallyError

LOOPBACK = IPv4Address("127.0.0.1")


def free_port(wanted: int, called: str, setting: str, bind: IPv4Address = LOOPBACK) -> int:
    """This port, or any that is free where it is 0. TallyError, naming who wants it, where nobody can listen there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((str(bind), wanted))
        except OSError as error:
            where = "" if bind == LOOPBACK else f" of TALLY_BIND {bind}"
            raise TallyError(
                f"the {called} cannot listen on {setting} {wanted}{where} ({error.strerror}): choose another port, or "
                f"0 for any free one{'; or an address of this machine' if where else ''}"
            ) from None
        return int(probe.getsockname()[1])


def reached_at(bind: IPv4Address) -> IPv4Address:
    """An address of this machine where what listens there answers."""
    return LOOPBACK if bind.is_unspecified else bind
