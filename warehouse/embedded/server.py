"""Start the embedded warehouse: the steps before its process confines itself."""

import json
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ledger.errors import TallyError
from ledger.home.locks import service_lock
from ledger.home.secrets import ensure_secret
from warehouse.embedded.confinement import MAX_MEMORY_BYTES, Confinement, landlock_abi
from warehouse.embedded.users import ANALYST, USER, hash_password

if TYPE_CHECKING:  # the confined process loads this file too, and has no settings
    from ledger.settings import Settings

SERVICE = "warehouse"

COMMAND = (sys.executable, "-P", "-m", "warehouse.embedded.process")

INHERITED_VARIABLES = frozenset((
    "PATH", "PYTHONPATH", "PYTHONHOME", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "LD_LIBRARY_PATH",
))  # fmt: skip
"""Variables that the process inherits. Others may hold credentials, of Kafka or of a ClickHouse server."""


class Job(NamedTuple):
    """The arguments of the process: the socket it listens on, and the announcement, a file that is renamed once the
    warehouse is ready."""

    home: str
    socket: int
    hashes: dict[str, str]
    hosts: str
    announcement: str
    lifeline: int | None


def temporary_folder(home: Path) -> Path:
    """Return the folder for the bodies of requests and for answers to analysts."""
    return home / "run" / SERVICE


def serve(settings: "Settings", port: int | None = None, lifeline: int | None = None) -> None:
    """Own the home's warehouse until SIGTERM or SIGINT, in place of this process. With a lifeline, a descriptor, also
    until that ends. TallyError where it cannot be owned, or the port is taken."""
    home = settings.home.resolve()
    with service_lock(home, SERVICE):  # until the process is replaced; that one owns it itself
        password, analysts_password = ensure_secret(home, "warehouse"), ensure_secret(home, "warehouse:analyst")
        listener = _listen(settings.warehouse_port if port is None else port)
        bound_port = listener.getsockname()[1]
        announcement = _write_announcement(settings, bound_port, password, analysts_password)
        hashes = {USER: hash_password(password), ANALYST: hash_password(analysts_password)}
        job = Job(str(home), listener.fileno(), hashes, settings.hosts, announcement, lifeline)
        read_end, write_end = os.pipe()
        os.write(write_end, json.dumps(job._asdict()).encode())
        os.close(write_end)
        for descriptor in (read_end, listener.fileno(), *([] if lifeline is None else [lifeline])):
            os.set_inheritable(descriptor, True)
        environment = {name: value for name, value in os.environ.items() if name in INHERITED_VARIABLES}
        # The engine finds its auxiliary vector behind the environment where /proc/self/auxv cannot be read, as in the
        # classifier: so nothing may move the environment, neither Python's choice of a locale nor a change of ours.
        environment |= {"LC_ALL": "C.UTF-8", "TMPDIR": str(temporary_folder(home))}
        os.execve(COMMAND[0], [*COMMAND, str(read_end)], environment)


def _write_announcement(settings: "Settings", port: int, password: str, analysts_password: str) -> str:
    """Write the announcement of the warehouse. Return its temporary path."""
    confinement = Confinement(landlock_abi(), MAX_MEMORY_BYTES)
    facts = {
        "pid": os.getpid(),
        "url": f"http://127.0.0.1:{port}",
        "port": port,
        "user": USER,
        "password": password,
        "analyst": {"user": ANALYST, "password": analysts_password},
        "confinement": {
            "landlock_abi": confinement.landlock_abi,
            "files": confinement.files,
            "network": confinement.network,
            "max_memory_bytes": confinement.max_memory_bytes,
        },
    }
    path = settings.home.resolve() / "run" / f"{SERVICE}.json.{os.getpid()}.new"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(facts, file)
    return str(path)


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        raise TallyError(
            f"port {port} for the warehouse is taken ({error.strerror}): "
            "set TALLY_WAREHOUSE_PORT to another one, or to 0 for any that is free"
        ) from error
    return listener
