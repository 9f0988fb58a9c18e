"""``GET /v1/decisions``: what was decided about an organization's grants, as server-sent events."""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import StreamingResponse

from ingest.api.decisions import messages
from ingest.api.decisions.feed import Feed
from ingest.api.decisions.grant_states import GrantStates
from ingest.api.decisions.messages import END, KINDS, Decision
from ingest.api.decisions.position import DecisionPosition, parse_decision_position
from ingest.api.problem import Problem
from ingest.moments import count_us
from ledger.errors import TallyError
from ledger.log import partition_of

HEARTBEAT_INTERVAL_S = 15
RETRY_DELAY_MS = 1_000
HEARTBEAT = b": heartbeat\n\n"
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
"""The second is for nginx, which else keeps what it is sent until it has a buffer full."""
LAST_EVENT_ID = "last-event-id"
PARAMETERS = ("kind", "grant")


class Subscription(NamedTuple):
    """A request of a subscriber: kinds of events, and the grants that it named, or all. ``position`` is that of the
    last event that it has; None where it begins."""

    organization: str
    kinds: tuple[str, ...]
    grants: tuple[str, ...]
    position: DecisionPosition | None

    def list_grants(self, states: GrantStates) -> frozenset[str] | None:
        """Return the grants that concern it: those that it named, and all above them. None is all."""
        return frozenset(name for grant in self.grants for name in states.list_path(grant)) if self.grants else None


def read_subscription(request: Request, organization: str) -> Subscription:
    """Read what a subscriber asks for. Problem where it names what cannot be told."""
    foreign = next((name for name in request.query_params if name not in PARAMETERS), None)
    if foreign is not None:
        detail = f"there is no parameter {foreign[:50]!r}: choose by {' and '.join(PARAMETERS)}, or leave it out"
        raise Problem(HTTPStatus.BAD_REQUEST, detail)
    kinds = _list_values(request, "kind")
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise Problem(
            HTTPStatus.BAD_REQUEST, f"there is no kind {unknown[0][:50]!r}: name one or more of {', '.join(KINDS)}"
        )
    text = request.headers.get(LAST_EVENT_ID)
    position = None if not text else parse_decision_position(text)
    if text and (position is None or position.partition != partition_of(organization)):
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            f"Last-Event-ID {text[:50]!r} is no position of this organization's decisions: send the id of the last "
            "event, or leave it out and begin with the state",
        )
    return Subscription(organization, kinds or tuple(KINDS), _list_values(request, "grant"), position)


async def open_stream(feed: Feed, subscription: Subscription, is_authorized: Callable[[], bool]) -> StreamingResponse:
    """Open the stream of a subscription. Problem where it cannot go on from where it wants to, or names no grant."""
    async with feed.subscribe(partition_of(subscription.organization)):
        since_us = await _find_start_us(feed, subscription)
        paths = await feed.query(
            subscription.organization,
            lambda states, _: {grant: states.list_path(grant) for grant in subscription.grants},
        )
    for grant, path in paths.items():
        if not path:
            raise Problem(
                HTTPStatus.NOT_FOUND, f"there is no grant {grant[:64]!r}: `tally grant list` has those that there are"
            )
    chunks = _stream(feed, subscription, since_us, is_authorized)
    return StreamingResponse(chunks, headers=HEADERS, media_type="text/event-stream")


async def _find_start_us(feed: Feed, subscription: Subscription) -> int:
    """Find the moment from which on changes by time are told."""
    if subscription.position is None:
        return _read_clock_us()
    time_us = await feed.find_time_us(subscription.position)
    if time_us is None:
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            f"the log ends before Last-Event-ID {subscription.position}, so it is another log than that: leave the "
            "header out, and begin with the state",
        )
    return time_us


async def _stream(
    feed: Feed, subscription: Subscription, since_us: int, is_authorized: Callable[[], bool]
) -> AsyncIterator[bytes]:
    yield f"retry: {RETRY_DELAY_MS}\n\n".encode()
    try:
        async with feed.subscribe(partition_of(subscription.organization)):
            async for chunk in _follow(feed, subscription, since_us, is_authorized):
                yield chunk
    except (TallyError, OSError) as error:
        yield messages.write_event(END, {"reason": str(error)})


async def _follow(
    feed: Feed, subscription: Subscription, since_us: int, is_authorized: Callable[[], bool]
) -> AsyncIterator[bytes]:
    """Yield the state where the subscriber begins, then what is decided, until the server or the token ends."""
    position = subscription.position
    if position is None:
        position, state = await _write_state(feed, subscription, since_us)
        yield state
    sent_s = time.monotonic()
    while not feed.is_ending:
        page = await feed.read_after(position)
        position, now_us = page.position, _read_clock_us()
        chunk, next_change_us = await _write_page(feed, subscription, page.decisions, since_us, now_us)
        since_us = max(since_us, now_us)
        if not is_authorized():
            yield messages.write_event(END, {"reason": "the token was revoked"})
            return
        if chunk or time.monotonic() >= sent_s + HEARTBEAT_INTERVAL_S:
            yield chunk or HEARTBEAT
            sent_s = time.monotonic()
        if not page.decisions:
            until_change_s = HEARTBEAT_INTERVAL_S if next_change_us is None else (next_change_us - now_us) / 1e6
            await feed.wait_for_news(position, min(HEARTBEAT_INTERVAL_S, until_change_s))
    yield messages.write_event(END, {"reason": "the server shuts down: connect again"})


async def _write_state(feed: Feed, subscription: Subscription, now_us: int) -> tuple[DecisionPosition, bytes]:
    """Write the state of the grants that concern a subscriber, and return the position at which it is."""

    def query(states: GrantStates, position: DecisionPosition) -> tuple[DecisionPosition, bytes]:
        grants = subscription.list_grants(states)
        return position, messages.write_state(states, position, now_us, subscription.kinds, grants)

    return await feed.query(subscription.organization, query)


async def _write_page(
    feed: Feed, subscription: Subscription, decisions: Sequence[Decision], since_us: int, now_us: int
) -> tuple[bytes, int | None]:
    """Write the events of decisions, and of what time alone changed; and return when it changes something next."""

    def query(states: GrantStates, _: DecisionPosition) -> tuple[bytes, int | None]:
        grants = subscription.list_grants(states)
        events = [
            messages.write_decision(decision, states)
            for decision in decisions
            if decision.organization == subscription.organization
            and decision.kind in subscription.kinds
            and (grants is None or decision.grant in grants)
        ]
        events += [
            messages.write_timed_change(change, states)
            for change in states.list_timed_changes(since_us, now_us)
            if change.kind in subscription.kinds and (grants is None or change.grant in grants)
        ]
        return b"".join(events), states.find_next_change_us(now_us)

    return await feed.query(subscription.organization, query)


def _list_values(request: Request, name: str) -> tuple[str, ...]:
    """List the values of a parameter, repeated or with commas between."""
    texts = (text for value in request.query_params.getlist(name) for text in value.split(","))
    return tuple(dict.fromkeys(text for text in texts if text))


def _read_clock_us() -> int:
    return count_us(datetime.now(UTC))
