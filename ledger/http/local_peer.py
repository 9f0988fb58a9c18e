"""Find the user at the other end of a connection within this machine, from Linux' tables."""

import socket
import struct
from pathlib import Path

ESTABLISHED = "01"
"""The state in which a socket's owner is certain: one that its process closed is listed as root's."""
_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
Address = tuple[str, int]


def is_known_here() -> bool:
    """Tell whether this system lists its connections with their owners."""
    return _TABLES[0].exists()


def uid_of_peer(client: Address, server: Address) -> int | None:
    """Find the user of the process at the client's end of an IPv4 connection; None where no process here has it."""
    for table in _TABLES:
        try:
            uid = find_uid(table.read_text(), client, server)
        except OSError:
            continue
        if uid is not None:
            return uid
    return None


def find_uid(table: str, client: Address, server: Address) -> int | None:
    """Find the owner in a table as in ``/proc/net/tcp``; ``/proc/net/tcp6`` has IPv4 addresses in their mapped form."""
    local, remote = _encode_address(client), _encode_address(server)
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 8 or fields[3] != ESTABLISHED:
            continue
        if _is_same(fields[1], local) and _is_same(fields[2], remote):
            return int(fields[7])
    return None


def _encode_address(address: Address) -> str:
    """Encode an address as the kernel does: a number in this machine's byte order, and the port."""
    (number,) = struct.unpack("=I", socket.inet_aton(address[0]))
    return f"{number:08X}:{address[1]:04X}"


def _is_same(field: str, address: str) -> bool:
    if field == address:
        return True
    (prefix,) = struct.unpack("=I", b"\x00\x00\xff\xff")
    return field == f"{0:016X}{prefix:08X}{address}"
