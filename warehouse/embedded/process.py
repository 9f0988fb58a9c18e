"""The embedded warehouse's own process: it confines itself, and only then opens the engine.

``server.py`` replaces itself with this process, in an environment of its own. The process gets hashes of the passwords,
not the passwords. It can open its folder and the runtime, and no TCP connection but those that clients open to it.
"""

import json
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
import types
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ledger.errors import EXIT_RESTART, TallyError
from ledger.home.locks import service_lock
from ledger.http.guard import WsgiGuard
from ledger.http.host_check import AllowedHosts, parse_names
from warehouse.embedded.analyst.classifier import Classifier
from warehouse.embedded.analyst.entrance import Entrance, read_deaths
from warehouse.embedded.analyst.query_slots import MAX_QUERIES, MAX_STUCK_QUERIES, QuerySlots
from warehouse.embedded.confinement import confine
from warehouse.embedded.connections import Server
from warehouse.embedded.server import SERVICE, Job, temporary_folder

if TYPE_CHECKING:
    from warehouse.embedded.engine import Engine
    from warehouse.embedded.http import HttpInterface

PRODUCT_THREADS = 8
"""Statements of the product that run at once; more wait. Two cores gain nothing from more, and memory is saved. Each
query of an analyst has a thread of its own besides, so analysts cannot keep the sink waiting."""


END_TIMEOUT_S = 5.0
"""Time that the engine may take to release its folder."""


def run(job: Job) -> None:
    """Serve until SIGTERM or SIGINT. TallyError where the folder cannot be owned or opened."""
    home, announcement = Path(job.home), Path(job.announcement)
    try:
        with service_lock(home, SERVICE):
            _serve(job, home, announcement)
    finally:
        announcement.unlink(missing_ok=True)


def _serve(job: Job, home: Path, announcement: Path) -> None:
    folder, temporary = home / "warehouse", temporary_folder(home)
    deaths = read_deaths(temporary, time.time())
    shutil.rmtree(temporary, ignore_errors=True)  # left by a process that was killed
    for path in (folder, temporary):
        _make_folder(path)
    tempfile.tempdir = str(temporary)  # the system's own may be in memory
    confine(home, (folder, temporary))
    if job.lifeline is not None:
        threading.Thread(target=_end_with_parent, args=(job.lifeline,), daemon=True).start()
    # In another thread: in the main one the engine reads /proc/self/maps, which the confinement forbids.
    entrance = Entrance(temporary, deaths)
    with ThreadPoolExecutor(1) as executor:
        engine, interface = executor.submit(_open_engine, folder, entrance).result()
    logging.getLogger("waitress").setLevel(logging.ERROR)  # waitress warns of every request that waits
    application = WsgiGuard(interface, AllowedHosts(names=parse_names(job.hosts)))
    server = Server(application, socket.socket(fileno=job.socket), PRODUCT_THREADS + MAX_QUERIES, job.hashes)
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_number, _raise_exit)
    announcement.rename(home / "run" / f"{SERVICE}.json")
    with suppress(SystemExit):
        server.run()  # after a signal it waits some seconds for running requests
    entrance.close()
    (home / "run" / f"{SERVICE}.json").unlink(missing_ok=True)
    threading.Timer(END_TIMEOUT_S, os._exit, (0,)).start()  # stored data survive any end of the process
    server.close()
    interface.close()
    with ThreadPoolExecutor(1) as executor:
        executor.submit(engine.close).result()
    os._exit(0)  # the interpreter's own end stops the engine in the main thread, and crashes while a query runs


def _open_engine(folder: Path, entrance: Entrance) -> "tuple[Engine, HttpInterface]":
    """Load the engine, which starts threads of its own, and open the folder."""
    from warehouse.embedded.engine import Engine
    from warehouse.embedded.http import HttpInterface

    engine = Engine(folder)
    return engine, HttpInterface(engine, Classifier(), QuerySlots(_end_overrun_process), entrance)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TallyError(
            f"the warehouse's folder {folder} cannot be made ({error.strerror}): move away what is there, or free some "
            "disk space"
        ) from None


def _end_overrun_process() -> None:
    print(
        f"More than {MAX_STUCK_QUERIES} statements of analysts still run although they were cancelled: the warehouse "
        "ends, and is started again without them",
        flush=True,
    )
    os._exit(EXIT_RESTART)


def _end_with_parent(lifeline: int) -> None:
    os.read(lifeline, 1)
    os.killpg(os.getpid(), signal.SIGKILL)


def _raise_exit(signal_number: int, frame: types.FrameType | None) -> None:
    raise SystemExit


def main() -> None:
    """Read the job from the descriptor that the command line names. Exit 2 on an error that the user must fix."""
    with os.fdopen(int(sys.argv[1])) as file:
        fields: dict[str, Any] = json.load(file)
    try:
        run(Job(**fields))
    except TallyError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
