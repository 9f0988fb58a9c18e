"""The HTTP door as a process."""

import contextlib
from collections.abc import AsyncIterator

import uvicorn
from starlette.applications import Starlette

from ingest.api.app import Api
from ledger.home import announce, only_one
from ledger.log import Log
from ledger.ports import bound, reached_at
from ledger.settings import Settings
from ledger.web_guard import AsgiGuard

PART = "api"
CONNECTIONS = 1_000
"""Beyond so many a new one is answered 503: each may hold a body that is under way."""
WAITING, LEAVE_S = 1_024, 10
"""How many connections may wait to be taken, and how long what is under way may take at the end."""


def serve(settings: Settings, log: Log, asked: Log, port: int) -> None:
    """Answer until SIGTERM or SIGINT; what is under way is answered first. TallyError where the port is taken, or the
    home's door is open already."""
    with only_one(settings.home, PART), bound(port, "HTTP door", "TALLY_API_PORT", settings.bind) as listening:
        listening.listen(WAITING)
        url = f"http://{reached_at(settings.bind)}:{listening.getsockname()[1]}"

        @contextlib.asynccontextmanager
        async def announced(app: Starlette) -> AsyncIterator[None]:
            announce(settings.home, PART, url=url)
            yield

        config = uvicorn.Config(
            AsgiGuard(Api(settings, log, asked).app(announced), settings.allowed_hosts(settings.bind)),
            log_level="warning", access_log=False, server_header=False, limit_concurrency=CONNECTIONS,
            timeout_keep_alive=30, timeout_graceful_shutdown=LEAVE_S,
            http="h11",  # httptools, which uvicorn takes where it is installed, holds a head of any size
        )  # fmt: skip
        uvicorn.Server(config).run([listening])
