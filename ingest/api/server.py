"""The HTTP API as a process."""

import asyncio
import contextlib
import resource
import socket
import sys
from collections.abc import AsyncIterator, Iterator

import uvicorn
from starlette.applications import Starlette

from ingest.api import connections
from ingest.api.app import Api
from ledger.home.locks import service_lock
from ledger.home.ports import bind_port, find_reachable_address
from ledger.home.presence import announce
from ledger.home.wakes import Sleeper
from ledger.http.guard import AsgiGuard
from ledger.log import Log
from ledger.settings import Settings

SERVICE = "api"
MAX_OTHER_FILES = 256
"""Files that the process has open beside its connections, at most."""
SWITCH_INTERVAL_S = 0.0005
"""Time for which a thread that parses events keeps the interpreter while the event loop waits for it, at each read and
write of a socket. Python's default of 5 ms adds up to seconds with hundreds of connections."""
MAX_WAITING_CONNECTIONS, SHUTDOWN_TIMEOUT_S = 1_024, 10
"""Connections that may wait to be accepted, and the time for requests under way at the end."""


def serve(settings: Settings, log: Log, reader: Log, port: int) -> None:
    """Serve until SIGTERM or SIGINT; requests under way are answered first. TallyError where the port is taken, or the
    home's HTTP API already runs."""
    with (
        service_lock(settings.home, SERVICE),
        bind_port(port, "HTTP API", "TALLY_API_PORT", settings.bind) as listening,
    ):
        # Connections inherit it. Without it the end of an answer waits 40 ms for the receiver's acknowledgement.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listening.listen(MAX_WAITING_CONNECTIONS)
        url = f"http://{find_reachable_address(settings.bind)}:{listening.getsockname()[1]}"

        @contextlib.asynccontextmanager
        async def announced(app: Starlette) -> AsyncIterator[None]:
            with contextlib.closing(Sleeper()) as sleeper, _woken(api, sleeper):
                announce(settings.home, SERVICE, url=url, wake_port=sleeper.port)
                yield

        api = Api(settings, log, reader)
        table = connections.Connections(_raise_file_limit() - MAX_OTHER_FILES)
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        config = uvicorn.Config(
            AsgiGuard(api.app(announced), settings.build_allowed_hosts(settings.bind)),
            log_level="error",  # uvicorn warns of each malformed request, and anybody may send those
            access_log=False, server_header=False, timeout_graceful_shutdown=SHUTDOWN_TIMEOUT_S,
            http=connections.make_protocol(table),  # on h11: httptools holds a head of any size
            loop="asyncio", ws="none",
        )  # fmt: skip
        with contextlib.closing(api):
            _Server(config, api).run([listening])


class _Server(uvicorn.Server):
    """A server that ends streams before it waits for requests under way: they never end by themselves."""

    def __init__(self, config: uvicorn.Config, api: Api) -> None:
        super().__init__(config)
        self._api = api

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._api.feed.end()
        await super().shutdown(sockets)


@contextlib.contextmanager
def _woken(api: Api, sleeper: Sleeper) -> Iterator[None]:
    """Let the folds wake those who wait for decisions."""

    def wake() -> None:
        sleeper.clear()
        api.wake()

    loop = asyncio.get_running_loop()
    loop.add_reader(sleeper.fileno(), wake)
    try:
        yield
    finally:
        loop.remove_reader(sleeper.fileno())


def _raise_file_limit() -> int:
    """Raise the limit of open files to the need of the connections where that is allowed, and return it."""
    soft_limit, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted_count = connections.MAX_CONNECTIONS + MAX_OTHER_FILES
    if soft_limit < wanted_count:
        soft_limit = min(wanted_count, hard_limit)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft_limit, hard_limit))
    return min(soft_limit, wanted_count)
