"""The HTTP door as a process."""

import contextlib
import resource
import sys
from collections.abc import AsyncIterator

import uvicorn
from starlette.applications import Starlette

from ingest.api import connections
from ingest.api.app import Api
from ledger.home.locks import service_lock
from ledger.home.ports import bind_port, find_reachable_address
from ledger.home.presence import announce
from ledger.http.guard import AsgiGuard
from ledger.log import Log
from ledger.settings import Settings

SERVICE = "api"
MAX_OTHER_FILES = 256
"""Files that the process has open beside its connections, at most."""
SWITCH_INTERVAL_S = 0.0005
"""How long a thread that reads events keeps the interpreter, while the one that answers requests waits for it: at each
read and write of a socket. Python's own 5 ms add up to seconds where hundreds of connections are served."""
MAX_WAITING_CONNECTIONS, SHUTDOWN_TIMEOUT_S = 1_024, 10
"""How many connections may wait to be taken, and how long what is under way may take at the end."""


def serve(settings: Settings, log: Log, reader: Log, port: int) -> None:
    """Answer until SIGTERM or SIGINT; what is under way is answered first. TallyError where the port is taken, or the
    home's door is open already."""
    with service_lock(settings.home, SERVICE), bind_port(port, "HTTP door", "TALLY_API_PORT", settings.bind) as listening:
        listening.listen(MAX_WAITING_CONNECTIONS)
        url = f"http://{find_reachable_address(settings.bind)}:{listening.getsockname()[1]}"

        @contextlib.asynccontextmanager
        async def announced(app: Starlette) -> AsyncIterator[None]:
            announce(settings.home, SERVICE, url=url)
            yield

        table = connections.Connections(_raise_file_limit() - MAX_OTHER_FILES)
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        config = uvicorn.Config(
            AsgiGuard(Api(settings, log, reader).app(announced), settings.build_allowed_hosts(settings.bind)),
            log_level="error",  # it warns of each request that is none, and anybody may send those
            access_log=False, server_header=False, timeout_graceful_shutdown=SHUTDOWN_TIMEOUT_S,
            http=connections.make_protocol(table),  # on h11: httptools holds a head of any size
            loop="asyncio", ws="none",
        )  # fmt: skip
        uvicorn.Server(config).run([listening])


def _raise_file_limit() -> int:
    """Return how many files the process may have open, raised to what the connections need where that is allowed."""
    soft_limit, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted_count = connections.MAX_CONNECTIONS + MAX_OTHER_FILES
    if soft_limit < wanted_count:
        soft_limit = min(wanted_count, hard_limit)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft_limit, hard_limit))
    return min(soft_limit, wanted_count)
