"""Wakes: a service that waits for work announces a port on loopback, and a datagram there ends its wait.

A lost wake costs a poll: whoever waits looks again by itself. A datagram says nothing, so one from a stranger costs a
look."""

import select
import socket
import time
from contextlib import suppress
from pathlib import Path

from ledger.errors import TallyError
from ledger.home.presence import read_presence

PORT_FACT = "wake_port"
LOOKUP_INTERVAL_S = 1.0
LOOPBACK = "127.0.0.1"
MAX_WAITING_WAKES = 1_000


class Sleeper:
    """Waits for a wake, or for a while. ``port`` is what the service announces as ``wake_port``."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((LOOPBACK, 0))
        self._socket.setblocking(False)
        self.port: int = self._socket.getsockname()[1]

    def wait(self, seconds: float) -> None:
        """Wait until somebody wakes, or so long. Wakes that came since the last wait end this one at once."""
        select.select([self._socket], [], [], seconds)
        self.clear()

    def wake(self) -> None:
        """End the wait from another thread of this process."""
        _send_wake(self.port)

    def fileno(self) -> int:
        """Return the descriptor that is readable once somebody wakes, for an event loop."""
        return self._socket.fileno()

    def clear(self) -> None:
        """Forget the wakes that came."""
        with suppress(BlockingIOError):
            for _ in range(MAX_WAITING_WAKES):
                self._socket.recv(1)

    def close(self) -> None:
        self._socket.close()


class Waker:
    """Wakes a service of a home, if one runs that can be woken."""

    def __init__(self, home: Path, service: str) -> None:
        self._home, self._service = home, service
        self._port: int | None = None
        self._looked_up_s = -LOOKUP_INTERVAL_S

    def wake(self) -> None:
        now_s = time.monotonic()
        if now_s >= self._looked_up_s + LOOKUP_INTERVAL_S:
            self._port, self._looked_up_s = self._find_port(), now_s
        if self._port is not None:
            _send_wake(self._port)

    def _find_port(self) -> int | None:
        try:
            port = (read_presence(self._home, self._service) or {}).get(PORT_FACT)
        except (TallyError, OSError):  # whoever needs the service says so
            return None
        return port if type(port) is int and 0 < port < 1 << 16 else None


def _send_wake(port: int) -> None:
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        sender.sendto(b"\0", (LOOPBACK, port))
