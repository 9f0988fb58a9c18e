"""The HTTP server of the embedded warehouse: waitress, with authentication before the body and limits for each user.

waitress reads a whole request, its body into a file, before the application sees it, and counts all connections alike.
Here the head of a request is authenticated first: without a right password no body is read, and each user has a number
of connections of its own.
"""

import socket
import time
from collections.abc import Callable, Mapping
from functools import partial
from io import BytesIO
from typing import Any

from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.receiver import FixedStreamReceiver
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher, WSGITask
from waitress.utilities import RequestEntityTooLarge

from warehouse.embedded import request
from warehouse.embedded.users import ALLOWANCES, ANONYMOUS, Connection, allowance, authenticate, is_idle, is_overdue

MAX_HEAD_BYTES = 64 << 10
MAX_CONNECTIONS = ANONYMOUS.max_connections + sum(allowed.max_connections for allowed in ALLOWANCES.values())
"""A process may often open no more than 1,024 files, and the engine needs some."""

MAX_DISCARDED_BYTES = 4 << 20
"""The greatest refused body that is read and thrown away, since many clients read no answer before they have sent all.
Behind a greater one the connection is closed at once."""

_CLEANUP_INTERVAL_S = 1


class _DiscardBuffer:
    """A buffer that discards a refused body."""

    def append(self, data: bytes) -> None:
        pass

    def getfile(self) -> BytesIO:
        return BytesIO()

    def close(self) -> None:
        pass


class RequestParser(HTTPRequestParser):
    """A request as it arrives. ``user`` is set once its head is complete; None where the password is wrong."""

    user: str | None = None
    overfull = False

    query: str

    def __init__(self, adjustments: Adjustments, hashes: Mapping[str, str], identify: Callable[[str], bool]) -> None:
        super().__init__(adjustments)
        self._hashes, self._identify = hashes, identify

    def received(self, data: bytes) -> int:
        consumed: int = super().received(data)
        limit = allowance(self.user).max_body_bytes
        if self.chunked and self.body_bytes_received > limit and self.error is None:
            self.error = RequestEntityTooLarge(f"a body has at most {limit} bytes: send less at a time")
            self.completed = True
        return consumed

    def parse_header(self, header_plus: bytes) -> None:
        super().parse_header(header_plus)
        if "CONTENT_LENGTH" in self.headers and (self.chunked or "TRANSFER_ENCODING" in self.headers):
            raise ParsingError("a request has Content-Length or Transfer-Encoding, not both (RFC 9112, 6.1)")
        environ = {"QUERY_STRING": self.query} | {
            f"HTTP_{name}": value for name, value in self.headers.items() if not name.startswith("CONTENT_")
        }
        self.user = authenticate(*request.read_credentials(environ), self._hashes)
        self.overfull = self.user is not None and not self._identify(self.user)
        limit = allowance(self.user).max_body_bytes
        if self.user is None or self.overfull or self.content_length > limit:
            self._refuse_body()

    def _refuse_body(self) -> None:
        """Read no body; the application answers with the reason. Behind a long body the connection is closed."""
        if self.body_rcv is None:
            return
        self.body_rcv.getbuf().close()
        self.body_rcv = None
        if not self.chunked and not self.expect_continue and self.content_length <= MAX_DISCARDED_BYTES:
            self.body_rcv = FixedStreamReceiver(self.content_length, _DiscardBuffer())  # type: ignore[arg-type]
            return
        self.chunked, self.content_length, self.expect_continue = False, 0, False
        self.headers["CONNECTION"] = "close"  # type: ignore[index]


class Task(WSGITask):
    """A request as the application gets it, with its user."""

    def get_environment(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environment()
        assert isinstance(self.request, RequestParser)
        environ["tally.user"], environ["tally.overfull"] = self.request.user, self.request.overfull
        return environ


class Channel(HTTPChannel):
    """A connection."""

    task_class = Task

    def __init__(self, server: "Server", *arguments: Any, **options: Any) -> None:
        self.user: str | None = None
        self._head_began_at: float | None = None
        self._body_began_at: float | None = None
        self._server = server
        self.parser_class = partial(  # type: ignore[assignment]
            RequestParser, hashes=server.hashes, identify=self.identify
        )
        super().__init__(server, *arguments, **options)
        if not server.make_room(self):
            self.handle_close()

    def handle_close(self) -> None:
        request, self.request = self.request, None
        if request is not None:
            request.close()
        super().handle_close()

    def identify(self, user: str) -> bool:
        """Make this a connection of the user. Return False where the user has too many that are busy."""
        if self.user != user:
            self.user = user
            return self._server.make_room(self)
        return True

    def received(self, data: bytes) -> bool:
        now = time.time()
        if self.request is None:
            self._head_began_at = now
        is_accepted: bool = super().received(data)
        if self.request is None:
            self._head_began_at = self._body_began_at = None
        elif self.request.headers_finished and self._body_began_at is None:
            self._body_began_at = now
        return is_accepted

    def state(self) -> Connection:
        return Connection(
            user=self.user,
            opened_at=self.creation_time,
            active_at=self.last_activity,
            head_began_at=self._head_began_at,
            body_began_at=self._body_began_at,
            is_served=bool(self.requests),
            is_sending=bool(self.total_outbufs_len),
        )


class Server(TcpWSGIServer):
    """The server on a socket that is bound."""

    channel_class = Channel
    active_channels: dict[int, Channel]  # type: ignore[assignment]

    def __init__(
        self, application: Callable[..., Any], listener: socket.socket, threads: int, hashes: Mapping[str, str]
    ) -> None:
        self.hashes = hashes
        adjustments = Adjustments(
            sockets=[listener],
            threads=threads,
            connection_limit=MAX_CONNECTIONS + 16,  # never reached: `make_room` closes others before
            cleanup_interval=_CLEANUP_INTERVAL_S,
            asyncore_use_poll=True,
            channel_request_lookahead=1,  # so a client that is gone is noticed
            max_request_header_size=MAX_HEAD_BYTES,
            max_request_body_size=max(allowed.max_body_bytes for allowed in ALLOWANCES.values()) + 1,
            ident=None,
            clear_untrusted_proxy_headers=True,
        )
        dispatcher = ThreadedTaskDispatcher()
        dispatcher.set_thread_count(threads)
        super().__init__(
            application, _sock=listener, dispatcher=dispatcher, adj=adjustments, bind_socket=False, map={},
            sockinfo=(listener.family, listener.type, listener.proto, listener.getsockname()),
        )  # fmt: skip

    def maintenance(self, now: float) -> None:
        """Close the connections that exceeded a timeout."""
        for channel in list(self.active_channels.values()):
            if is_overdue(channel.state(), now):
                channel.handle_close()

    def make_room(self, new_channel: Channel) -> bool:
        """Close the oldest idle connection where the user has too many; of those not authenticated yet, the oldest.

        Return False where all are busy.
        """
        channels = [
            channel
            for channel in self.active_channels.values()
            if channel.user == new_channel.user and channel is not new_channel
        ]
        if len(channels) < allowance(new_channel.user).max_connections:
            return True
        idle = [channel for channel in channels if new_channel.user is None or is_idle(channel.state())]
        if not idle:
            return False
        min(
            idle, key=lambda channel: channel.state().active_at if new_channel.user else channel.state().opened_at
        ).handle_close()
        return True
