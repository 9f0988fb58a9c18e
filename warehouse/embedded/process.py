"""The embedded warehouse's own process: it confines itself, and only then opens the engine.

``server.py`` starts it, in place of itself, with an environment of its own and with what it needs to know and no more:
of the passwords their hashes. It reaches its folder, the runtime, and nobody by TCP but who comes to it.
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

from ledger.errors import RESTART_AT_ONCE, TallyError
from ledger.home.locks import only_one
from ledger.http.guard import WsgiGuard
from ledger.http.host_check import AllowedHosts, parse_names
from warehouse.embedded.analyst.classifier import Classifier
from warehouse.embedded.analyst.entrance import Entrance, read_deaths
from warehouse.embedded.analyst.query_slots import MAX_STUCK, PLACES, Turns
from warehouse.embedded.confinement import confine
from warehouse.embedded.connections import Server
from warehouse.embedded.server import PART, Job, temporary_folder

if TYPE_CHECKING:
    from warehouse.embedded.engine import Engine
    from warehouse.embedded.http import Front

THREADS = 8
"""How many statements of the product run at once; more wait. Two cores gain nothing from more, and memory is kept.
Beside them each analyst under way has a thread: none can keep the sink waiting."""


END_TIMEOUT_S = 5.0
"""How long the engine may take to let its folder go."""


def run(job: Job) -> None:
    """Serve until SIGTERM or SIGINT. TallyError where the folder cannot be owned or opened."""
    home, announcement = Path(job.home), Path(job.announcement)
    try:
        with only_one(home, PART):
            _serve(job, home, announcement)
    finally:
        announcement.unlink(missing_ok=True)


def _serve(job: Job, home: Path, announcement: Path) -> None:
    folder, temporary = home / "warehouse", temporary_folder(home)
    deaths = read_deaths(temporary, time.time())
    shutil.rmtree(temporary, ignore_errors=True)  # of one that was killed
    for path in (folder, temporary):
        _make(path)
    tempfile.tempdir = str(temporary)  # where the system has its own may be memory
    confine(home, (folder, temporary))
    if job.lifeline is not None:
        threading.Thread(target=_end_with_parent, args=(job.lifeline,), daemon=True).start()
    # Not in the main thread, for which the engine reads /proc/self/maps; the confinement does not let it.
    with ThreadPoolExecutor(1) as beside:
        engine, front = beside.submit(_open, folder, Entrance(temporary, deaths)).result()
    logging.getLogger("waitress").setLevel(logging.ERROR)  # it warns of every request that waits
    guarded = WsgiGuard(front, AllowedHosts(names=parse_names(job.hosts)))
    server = Server(guarded, socket.socket(fileno=job.socket), THREADS + PLACES, job.hashes)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    announcement.rename(home / "run" / f"{PART}.json")
    with suppress(SystemExit):
        server.run()  # after a signal it waits some seconds for what runs
    (home / "run" / f"{PART}.json").unlink(missing_ok=True)
    threading.Timer(END_TIMEOUT_S, os._exit, (0,)).start()  # what is stored bears any end
    server.close()
    front.close()
    with ThreadPoolExecutor(1) as beside:
        beside.submit(engine.close).result()
    os._exit(0)  # the interpreter's end would be one of the engine's in the main thread, and crash where a query runs


def _open(folder: Path, entrance: Entrance) -> "tuple[Engine, Front]":
    """Load the engine, which starts threads of its own, and open the folder."""
    from warehouse.embedded.engine import Engine
    from warehouse.embedded.http import Front

    engine = Engine(folder)
    return engine, Front(engine, Classifier(), Turns(_overrun), entrance)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TallyError(
            f"the warehouse's folder {folder} cannot be made ({error.strerror}): move away what is there, or free some "
            "disk space"
        ) from None


def _overrun() -> None:
    print(
        f"more than {MAX_STUCK} statements of analysts go on although they were told to end: the warehouse ends, to be "
        "started again without them",
        flush=True,
    )
    os._exit(RESTART_AT_ONCE)


def _end_with_parent(lifeline: int) -> None:
    os.read(lifeline, 1)
    os.killpg(os.getpid(), signal.SIGKILL)


def _stop(number: int, frame: types.FrameType | None) -> None:
    raise SystemExit


def main() -> None:
    """Read the job from the descriptor that the command line names. Exit 2 where the user must do something."""
    with os.fdopen(int(sys.argv[1])) as file:
        told: dict[str, Any] = json.load(file)
    try:
        run(Job(**told))
    except TallyError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
