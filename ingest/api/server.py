"""The HTTP door as a process."""

import contextlib
import socket
from collections.abc import AsyncIterator

import uvicorn
from starlette.applications import Starlette

from ingest.api.app import Api
from ledger.errors import TallyError
from ledger.home import announce, only_one
from ledger.log import Log
from ledger.settings import Settings

PART = "api"
CONNECTIONS = 1_000
"""Beyond so many a new one is answered 503: each may hold a body that is under way."""
LEAVE_S = 10


def serve(settings: Settings, log: Log, asked: Log, port: int) -> None:
    """Answer until SIGTERM or SIGINT; what is under way is answered first. TallyError where the port is taken, or the
    home's door is open already."""
    with only_one(settings.home, PART), contextlib.closing(_listen(settings, port)) as listening:
        host, taken = listening.getsockname()
        reached = "127.0.0.1" if settings.bind.is_unspecified else host

        @contextlib.asynccontextmanager
        async def announced(app: Starlette) -> AsyncIterator[None]:
            announce(settings.home, PART, url=f"http://{reached}:{taken}")
            yield

        config = uvicorn.Config(
            Api(settings, log, asked).app(announced),
            log_level="warning", access_log=False, server_header=False, limit_concurrency=CONNECTIONS,
            timeout_keep_alive=30, timeout_graceful_shutdown=LEAVE_S,
        )  # fmt: skip
        uvicorn.Server(config).run([listening])


def _listen(settings: Settings, port: int) -> socket.socket:
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((str(settings.bind), port))
        listening.listen(1024)
    except OSError as error:
        listening.close()
        raise TallyError(
            f"the HTTP door cannot listen on TALLY_API_PORT {port} of {settings.bind} ({error.strerror}): choose "
            "another port, or 0 for any free one"
        ) from error
    return listening
