"""The embedded warehouse as a process: it owns the home's chDB folder and listens on loopback."""

import logging
import os
import signal
import socket
import types
from contextlib import suppress

from waitress.server import create_server

from ledger.errors import TallyError
from ledger.home import announce, only_one
from ledger.secrets import secret
from ledger.settings import Settings
from warehouse.engine import Engine
from warehouse.front import USER, Front

PART = "warehouse"
THREADS = 8
"""How many statements run at once; more wait. Two cores gain nothing from more, and memory is kept."""

BODY = 128 << 20
"""What a request may have: bodies are held in memory, as the engine wants them whole."""


def serve(settings: Settings, port: int | None = None) -> None:
    """Own the home's warehouse until SIGTERM or SIGINT. TallyError where it cannot be owned, or the port is taken."""
    with only_one(settings.home, PART):
        password = secret(settings.home, "warehouse")
        listening = _listen(settings.warehouse_port if port is None else port)
        engine = Engine(settings.home / "warehouse")
        logging.getLogger("waitress").setLevel(logging.ERROR)  # it warns of every request that waits
        server = create_server(
            Front(engine, password),
            sockets=[listening],
            threads=THREADS,
            max_request_body_size=BODY,
            inbuf_overflow=BODY,
            channel_timeout=600,
            ident=None,
            clear_untrusted_proxy_headers=True,
        )
        taken = listening.getsockname()[1]
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _stop)
        announce(settings.home, PART, url=f"http://127.0.0.1:{taken}", port=taken, user=USER, password=password)
        with suppress(SystemExit):
            server.run()  # after a signal it waits some seconds for what runs
        server.close()
        closed = engine.close()
    if not closed:
        os._exit(0)  # a query still runs, and would crash the interpreter's end; what is stored bears any end


def _listen(port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(("127.0.0.1", port))
    except OSError as error:
        raise TallyError(
            f"port {port} for the warehouse is taken ({error.strerror}): "
            "set TALLY_WAREHOUSE_PORT to another one, or to 0 for any that is free"
        ) from error
    return listening


def _stop(number: int, frame: types.FrameType | None) -> None:
    raise SystemExit
