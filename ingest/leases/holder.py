"""The holder: it asks for the leases that its holdings want, through the log, and returns what they do not use."""

import asyncio
import contextlib
import sqlite3
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import anyio

from ingest.leases.holdings import SETTLE_S, TTL_S, Holdings, LeaseRequest, Return
from ingest.requests import build_lease_event
from ledger.errors import TallyError
from ledger.log import Position
from tallystick.client.steady_clock import read_clock_s
from tallystick.rights.slices import write_lease_amounts, write_shapes

REPLY_TIMEOUT_S = 10
TEND_INTERVAL_S = 0.5

Append = Callable[[str, str, list[dict[str, Any]]], list[Position]]
"""Append the events of an organization, in the name of a principal. TallyError where the log does not take them."""
WaitFor = Callable[[Iterable[Position], float], Awaitable[Mapping[Position, Any]]]
"""Wait for the folds' replies to requests."""


class Holder:
    """Holds leases of a process for grants that are asked often. ``admit`` and ``release`` of ``holdings`` are for any
    thread, ``tend`` for the event loop."""

    def __init__(self, append: Append, wait_for: WaitFor) -> None:
        self.holdings = Holdings()
        self._append, self._wait_for = append, wait_for
        self._name = f"api-{uuid.uuid4().hex[:8]}"
        self._tending: asyncio.Task[None] | None = None
        self._asking: set[asyncio.Task[None]] = set()
        self._waking = asyncio.Event()
        self._unsent: list[tuple[Return, dict[str, Any]]] = []

    def tend(self) -> None:
        """Have the leases that are wanted asked for, and what is not used returned, beside the requests."""
        if not self.holdings.is_wanting:
            return
        if self._tending is None or self._tending.done():
            self._tending = asyncio.get_running_loop().create_task(self._tend())
        self._waking.set()

    def close(self) -> None:
        """Return all leases. Nothing is asked for any more."""
        with contextlib.suppress(TallyError, sqlite3.Error, OSError):  # what is not returned expires
            self._send(self.holdings.close())

    async def _tend(self) -> None:
        while True:
            self._waking.clear()
            for request in self.holdings.list_wanted(read_clock_s()):
                asking = asyncio.create_task(self._ask(request))
                self._asking.add(asking)
                asking.add_done_callback(self._asking.discard)
            returns = self.holdings.take_returns(read_clock_s())
            if returns or self._unsent:
                with contextlib.suppress(TallyError, sqlite3.Error, OSError):  # they are sent again
                    await anyio.to_thread.run_sync(self._send, returns)
            if self.holdings.is_empty() and not self._asking and not self._unsent:
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._waking.wait(), TEND_INTERVAL_S)

    async def _ask(self, request: LeaseRequest) -> None:
        """Ask for a lease, and admit from it once it is given."""
        asked_s = read_clock_s()
        holding, event = request.holding, build_ask(request, self._name)
        reply = None
        try:
            positions = await anyio.to_thread.run_sync(self._append, holding.organization, holding.principal, [event])
            replies = await self._wait_for(positions, REPLY_TIMEOUT_S)
            reply = next(iter(replies.values()), None)
        except (TallyError, sqlite3.Error, OSError):
            pass  # the requests say so; the lease counts as one without an answer
        except asyncio.CancelledError:
            self.holdings.refuse(request, read_clock_s(), is_retryable=True, is_unanswered=True)
            raise
        answer = None if reply is None else reply.body
        if answer is None:
            self.holdings.refuse(request, read_clock_s(), is_retryable=True, is_unanswered=True)
        elif "reason" in answer:
            self.holdings.refuse(request, read_clock_s(), is_retryable=answer["retryable"])
        else:
            self.holdings.accept(request, answer, asked_s)

    def _send(self, returns: Iterable[Return]) -> None:
        """Append returns, in one record of each organization. What the log does not take is sent again as it is, so
        that nothing is returned twice."""
        self._unsent += [(item, build_return(item)) for item in returns]
        for sender in {(item.organization, item.principal) for item, _ in self._unsent}:
            events = [event for item, event in self._unsent if (item.organization, item.principal) == sender]
            self._append(*sender, events)
            self._unsent = [unsent for unsent in self._unsent if unsent[1] not in events]


def build_ask(request: LeaseRequest, holder: str) -> dict[str, Any]:
    """Build the event that asks for a lease."""
    holding = request.holding
    data = request.scopes | {"holder": holder, "ttl_s": TTL_S, "settle_s": SETTLE_S}
    data |= write_lease_amounts(request.amounts, holding.currency)
    if holding.leased_grant is not None:
        data["grant"] = holding.leased_grant
    if request.shapes:
        data["models"] = write_shapes(request.shapes)
    return build_lease_event(request.lease, data, datetime.now(UTC))


def build_return(item: Return) -> dict[str, Any]:
    """Build the event that returns what is not used."""
    data = {"action": "return", "lease": item.lease} | write_lease_amounts(item.amounts, item.currency)
    return build_lease_event(str(uuid.uuid4()), data, datetime.now(UTC))
