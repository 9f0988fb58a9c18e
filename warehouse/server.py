"""The embedded warehouse as a process: it owns the home's chDB folder and listens on loopback."""

import logging
import os
import signal
import socket
import tempfile
import types
from contextlib import suppress

from waitress.server import create_server

from ledger.errors import TallyError
from ledger.home import announce, only_one
from ledger.ports import LOOPBACK
from ledger.secrets import secret
from ledger.settings import Settings
from ledger.web_guard import WsgiGuard
from warehouse.engine import Engine
from warehouse.front import ANALYST, USER, Front
from warehouse.turns import PLACES

PART = "warehouse"
THREADS = 8
"""How many statements of the product run at once; more wait. Two cores gain nothing from more, and memory is kept.
Beside them each analyst under way has a thread: none can keep the sink waiting."""

CONNECTIONS = 256
"""How many may be open, idle ones too: a process may often have no more than 1,024 files, and the engine needs some."""

BODY = 128 << 20
"""What a request may have. It waits in a file, and is held in memory as it runs, as the engine wants it whole."""


def serve(settings: Settings, port: int | None = None) -> None:
    """Own the home's warehouse until SIGTERM or SIGINT. TallyError where it cannot be owned, or the port is taken."""
    with only_one(settings.home, PART):
        password, analysts = secret(settings.home, "warehouse"), secret(settings.home, "warehouse:analyst")
        tempfile.tempdir = str(settings.run)  # where the system has its own may be memory
        listening = _listen(settings.warehouse_port if port is None else port)
        engine = Engine(settings.home / "warehouse")
        logging.getLogger("waitress").setLevel(logging.ERROR)  # it warns of every request that waits
        server = create_server(
            WsgiGuard(Front(engine, password, analysts), settings.allowed_hosts(LOOPBACK)),
            sockets=[listening],
            threads=THREADS + PLACES,
            connection_limit=CONNECTIONS,
            asyncore_use_poll=True,
            channel_request_lookahead=1,  # so it is seen when who asks is gone
            max_request_body_size=BODY,
            channel_timeout=600,
            ident=None,
            clear_untrusted_proxy_headers=True,
        )
        taken = listening.getsockname()[1]
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _stop)
        url, analyst = f"http://127.0.0.1:{taken}", {"user": ANALYST, "password": analysts}
        announce(settings.home, PART, url=url, port=taken, user=USER, password=password, analyst=analyst)
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
