"""The HTTP door as a process."""

import contextlib
import resource
import sys
from collections.abc import AsyncIterator

import uvicorn
from starlette.applications import Starlette

from ingest.api import connections
from ingest.api.app import Api
from ledger.home.locks import only_one
from ledger.home.ports import bound, reached_at
from ledger.home.presence import announce
from ledger.http.guard import AsgiGuard
from ledger.log import Log
from ledger.settings import Settings

PART = "api"
OTHER_FILES = 256
"""Files that the process has open beside its connections, at most."""
SWITCH_S = 0.0005
"""How long a thread that reads events keeps the interpreter, while the one that answers requests waits for it: at each
read and write of a socket. Python's own 5 ms add up to seconds where hundreds of connections are served."""
WAITING, SHUTDOWN_TIMEOUT_S = 1_024, 10
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

        table = connections.Connections(_files() - OTHER_FILES)
        sys.setswitchinterval(SWITCH_S)
        config = uvicorn.Config(
            AsgiGuard(Api(settings, log, asked).app(announced), settings.allowed_hosts(settings.bind)),
            log_level="error",  # it warns of each request that is none, and anybody may send those
            access_log=False, server_header=False, timeout_graceful_shutdown=SHUTDOWN_TIMEOUT_S,
            http=connections.protocol(table),  # on h11: httptools holds a head of any size
            loop="asyncio", ws="none",
        )  # fmt: skip
        uvicorn.Server(config).run([listening])


def _files() -> int:
    """Return how many files the process may have open, raised to what the connections need where that is allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections.MAX_CONNECTIONS + OTHER_FILES
    if soft < wanted:
        soft = min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return min(soft, wanted)
