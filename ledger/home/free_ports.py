"""Find ports that are free on this machine."""

import random
import socket

HOST = "127.0.0.1"

PORTS = range(20_000, 32_000)
"""Where a free port is looked for: above stand the ports of outgoing connections, one of which may take ours
between a stop and the next start."""


def find_port_conflict(port: int) -> str | None:
    """Why no node can listen on this port now; None where one can."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Java does
        try:
            probe.bind((HOST, port))
        except OSError as error:
            return error.strerror or type(error).__name__
    return None


def find_free_port() -> int:
    """A port that nobody has now."""
    return next(port for port in random.sample(PORTS, len(PORTS)) if find_port_conflict(port) is None)
