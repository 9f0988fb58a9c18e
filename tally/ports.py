"""Ports on loopback, looked at before someone listens there."""

import socket

from ledger.errors import TallyError

HOST = "127.0.0.1"


def free_port(wanted: int, called: str, setting: str) -> int:
    """This port, or any that is free where it is 0. TallyError, naming who wants it, where it is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted))
        except OSError as error:
            raise TallyError(
                f"the {called} cannot listen on {setting} {wanted} ({error.strerror}): "
                "choose another port, or 0 for any free one"
            ) from None
        return int(probe.getsockname()[1])
