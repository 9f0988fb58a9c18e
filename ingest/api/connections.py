"""Connections of an HTTP server: ceilings for addresses and tokens, and deadlines for all that a sender can leave
unfinished.

A new connection is never refused. The holder of the most connections loses its least used one, so a sender that opens
thousands of connections drops its own.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, NoReturn, Protocol

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

MAX_CONNECTIONS = 1_000
MAX_TOKEN_CONNECTIONS = 256
MAX_ADDRESS_CONNECTIONS = 256
"""Connections of one address that have not shown a token. A proxy is one address, and those behind it soon count by
their tokens."""
MIN_DROP_AGE_S = 2.0
"""A connection younger than this is not dropped for the ceiling of its address: many may be opened at once."""
HEAD_TIMEOUT_S = 10.0
"""Time for the head of a request from its first byte; for the first request, from the opening of the connection."""
LINGER_TIMEOUT_S, MAX_LINGER_BYTES = 3.0, 8 << 20
"""Time and bytes for which the rest of a body is read and dropped after an early answer, so that the sender sees the
answer."""
WRITE_TIMEOUT_S = 30.0
"""Time for which an answer waits for a sender that does not read it."""
KEEP_ALIVE_S, UNAUTHENTICATED_KEEP_ALIVE_S = 30, 5
READ_BYTES = 32 << 10
"""Bytes read of a connection at once, before others have their turn."""
FREE_CHUNKS, MIN_CHUNK_BYTES = 64, 128
"""Each chunk of a body costs as much as hundreds of its bytes: beyond the first ones they have to be of this size on
average. An event has more."""
TWO_LENGTHS = "a request has Content-Length or Transfer-Encoding, not both (RFC 9112, 6.1): send one of them"
"""A proxy before us may end the body by the other, and take the rest for a request of its own."""
STATE_KEY = "connection"
"""The name of the connection in the state of a request."""


class Connection(Protocol):
    """The part of a connection that the table needs."""

    @property
    def is_idle(self) -> bool:
        """Tell whether no request is under way on it."""

    def drop(self) -> None:
        """Close it at once, whatever is under way."""


class Connections:
    """Table of the open connections by holder: an address, or a token once it is shown. Each group is in the order of
    opening."""

    def __init__(
        self, max_connections: int = MAX_CONNECTIONS, max_of_address: int = MAX_ADDRESS_CONNECTIONS,
        max_of_token: int = MAX_TOKEN_CONNECTIONS, clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._max_connections = max_connections
        self._max_of_address = max_of_address
        self._max_of_token = max_of_token
        self._clock = clock
        self._holders: dict[Connection, tuple[str, str]] = {}
        self._groups: dict[tuple[str, str], dict[Connection, float]] = {}

    def __len__(self) -> int:
        return len(self._holders)

    def add(self, connection: Connection, address: str) -> None:
        """Add a connection that was just opened, and drop another where there are too many."""
        group = self._put(connection, ("address", address))
        oldest = next(iter(group))
        if len(group) > self._max_of_address and self._clock() - group[oldest] >= MIN_DROP_AGE_S:
            self._drop(oldest)
        elif len(self) > self._max_connections:
            self._drop(self._choose_dropped(connection))

    def assign(self, connection: Connection, token: str) -> bool:
        """Count a connection as its token's, and drop an idle one of it where it has too many. False where all of them
        are busy: the caller then closes this one."""
        if connection not in self._holders:  # dropped meanwhile
            return False
        if self._holders[connection] == ("token", token):
            return True
        self.remove(connection)
        group = self._put(connection, ("token", token))
        if len(group) <= self._max_of_token:
            return True
        idle = next((candidate for candidate in group if candidate is not connection and candidate.is_idle), None)
        if idle is not None:
            self._drop(idle)
        return idle is not None

    def remove(self, connection: Connection) -> None:
        """Forget a connection that was closed."""
        holder = self._holders.pop(connection, None)
        if holder is not None:
            del self._groups[holder][connection]
            if not self._groups[holder]:
                del self._groups[holder]

    def _put(self, connection: Connection, holder: tuple[str, str]) -> dict[Connection, float]:
        self._holders[connection] = holder
        group = self._groups.setdefault(holder, {})
        group[connection] = self._clock()
        return group

    def _choose_dropped(self, newcomer: Connection) -> Connection:
        """Return the oldest without a token of the address that has most of them; else, of the token that has most, the
        oldest that is idle, or the oldest."""
        groups = [
            [candidate for candidate in group if candidate is not newcomer] for group in self._list_groups("address")
        ]
        if largest := max(groups, key=len, default=[]):
            return largest[0]
        largest = max(self._list_groups("token"), key=len)
        return next((candidate for candidate in largest if candidate.is_idle), largest[0])

    def _list_groups(self, kind: str) -> list[list[Connection]]:
        return [list(group) for holder, group in self._groups.items() if holder[0] == kind]

    def _drop(self, connection: Connection) -> None:
        self.remove(connection)
        connection.drop()


class _Http(h11.Connection):
    """HTTP/1.1 that refuses bodies cut into chunks of a few bytes, and bodies of two lengths. ``refusal`` is the reason
    of such a refusal; h11's own reasons repeat what was sent."""

    refusal = ""
    _chunks = _bytes = 0

    def next_event(self) -> Any:
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._chunks = self._bytes = 0
            if {b"content-length", b"transfer-encoding"} <= {name for name, _ in event.headers}:
                self._refuse(TWO_LENGTHS)
        elif isinstance(event, h11.Data):
            self._chunks += 1
            self._bytes += len(event.data)
            if self._chunks > FREE_CHUNKS and self._bytes < self._chunks * MIN_CHUNK_BYTES:
                self._refuse(f"the body's chunks have less than {MIN_CHUNK_BYTES} bytes on average")
        return event

    def _refuse(self, reason: str) -> NoReturn:
        self.refusal = reason
        raise h11.RemoteProtocolError(reason)


class BoundedProtocol(H11Protocol):
    """A connection of uvicorn's whose every state has a deadline, held in a table."""

    table: Connections
    conn: _Http

    def __init__(
        self, config: Config, server_state: ServerState, app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:  # fmt: skip
        super().__init__(config, server_state, app_state | {STATE_KEY: self}, _loop)
        self.conn = _Http(h11.SERVER, self.conn._max_incomplete_event_size)
        self.timeout_keep_alive = UNAUTHENTICATED_KEEP_ALIVE_S
        self._deadlines: dict[str, asyncio.TimerHandle] = {}
        self._left_to_discard: int | None = None

    @property
    def is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def drop(self) -> None:
        self.transport.abort()

    def assign_to(self, token: str) -> bool:
        """Count the connection as a token's. False where that token has too many under way: the connection is then
        closed with the answer."""
        self.timeout_keep_alive = KEEP_ALIVE_S
        if not self.table.assign(self, token):
            self.cycle.keep_alive = False
            return False
        return True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.max_size = READ_BYTES  # type: ignore[attr-defined]  # of asyncio's own transports
        self._set_deadline("head", HEAD_TIMEOUT_S)
        self.table.add(self, self.client[0] if self.client else "")

    def connection_lost(self, exc: Exception | None) -> None:
        self.table.remove(self)
        for name in list(self._deadlines):
            self._cancel_deadline(name)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._left_to_discard is not None:
            self._left_to_discard -= len(data)
            if self._left_to_discard < 0:
                self.transport.abort()
            return
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._set_deadline("head", HEAD_TIMEOUT_S)
        else:
            self._cancel_deadline("head")

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY and not self.transport.is_closing():
            self._unset_keepalive_if_required()
            self._left_to_discard = MAX_LINGER_BYTES
            self._set_deadline("linger", LINGER_TIMEOUT_S)

    def send_400_response(self, msg: str) -> None:
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(f"{msg} {self.conn.refusal}".rstrip())
        else:  # the answer is under way or was given
            self.transport.abort()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._set_deadline("write", WRITE_TIMEOUT_S)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._cancel_deadline("write")

    def _set_deadline(self, name: str, seconds: float) -> None:
        """Close the connection after so many seconds, unless the deadline is cancelled first; a running one stays."""
        if name not in self._deadlines and not self.transport.is_closing():
            self._deadlines[name] = self.loop.call_later(seconds, self.transport.abort)

    def _cancel_deadline(self, name: str) -> None:
        deadline = self._deadlines.pop(name, None)
        if deadline is not None:
            deadline.cancel()


def make_protocol(connections: Connections) -> type[asyncio.Protocol]:
    """Return the protocol class (``http`` of uvicorn's configuration) of the server that has this table."""
    return type("BoundedProtocol", (BoundedProtocol,), {"table": connections})
