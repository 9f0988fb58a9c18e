"""Replies of the folds to requests on the log: ``tally.decisions`` is followed once in a process, for all who wait."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import anyio

from ingest.intake.intake import decode
from ledger.log import Log, Position, fold_offset, records, seek_cause
from ledger.log.topics import DECISIONS, ENTRIES, EVENTS, Topic
from ledger.outcomes import CONFLICT, COUNTED, DUPLICATE, OUTCOMES

MIN_POLL_DELAY_S, MAX_POLL_DELAY_S = 0.001, 0.02
"""Delays between reads while a request waits: doubled from the first on while nothing comes, up to the second. Where
new decisions wake the reader, the second alone."""
REPLIES = frozenset(("admission.decided", "admission.released", "lease.granted", "lease.refused", "lease.returned"))


class Reply(NamedTuple):
    """The outcome of a request, and the body of its decision. One whose identity was taken has the decision of the
    request that took it, if that said the same, and else none."""

    outcome: str
    body: dict[str, Any] | None
    detail: str = ""


class Replies:
    """Waits for replies by the positions of requests. ``open_log`` opens a log of its own, with the first who waits;
    ``is_woken`` where ``wake`` is called for new decisions."""

    def __init__(self, open_log: Callable[[], Log], *, is_woken: bool = False) -> None:
        self._open_log = open_log
        self._min_delay_s = MAX_POLL_DELAY_S if is_woken else MIN_POLL_DELAY_S
        self._wake = asyncio.Event()
        self._log: Log | None = None
        self._waiting: dict[Position, asyncio.Future[Reply]] = {}
        self._next: dict[int, int] = {}
        """The offset of ``tally.decisions`` to read next, of each partition in which somebody waits."""
        self._following: asyncio.Task[None] | None = None

    async def wait_for(self, positions: Iterable[Position], timeout_s: float) -> dict[Position, Reply]:
        """Return the replies to these requests that come in time. TallyError where the log cannot be read."""
        loop = asyncio.get_running_loop()
        futures = {position: loop.create_future() for position in positions}
        if not futures:
            return {}
        self._waiting |= futures
        if self._following is None or self._following.done():
            self._following = loop.create_task(self._follow())
        try:
            await asyncio.wait(futures.values(), timeout=timeout_s)
        finally:
            for position, future in futures.items():
                if self._waiting.pop(position, None) is not None and not future.done():
                    self._next.pop(position.partition, None)  # sought anew: another generation may be current by then
        answered = {position: future for position, future in futures.items() if future.done()}
        errors = [error for future in answered.values() if (error := future.exception()) is not None]
        if errors:
            raise errors[0]
        return {position: future.result() for position, future in answered.items()}

    def wake(self) -> None:
        """Look at the log at once: something was derived."""
        self._wake.set()

    def close(self) -> None:
        if self._log is not None:
            self._log.close()

    async def _follow(self) -> None:
        """Read what the folds derive as long as anybody waits."""
        try:
            delay_s = self._min_delay_s
            while self._waiting:
                self._wake.clear()
                replies = await anyio.to_thread.run_sync(self._read_replies, list(self._waiting))
                for position, reply in replies.items():
                    if (future := self._waiting.pop(position, None)) is not None:
                        future.set_result(reply)
                with suppress(TimeoutError):
                    async with asyncio.timeout(delay_s):
                        await self._wake.wait()
                delay_s = self._min_delay_s if replies else min(2 * delay_s, MAX_POLL_DELAY_S)
        except Exception as error:  # noqa: BLE001  (raised for each who waits)
            waiting, self._waiting = self._waiting, {}
            for future in waiting.values():
                future.set_exception(error)
        self._next.clear()

    def _read_replies(self, positions: Sequence[Position]) -> dict[Position, Reply]:
        """Read the replies that have come to some of these positions."""
        log = self._log = self._log or self._open_log()
        log.follow()
        by_partition: defaultdict[int, list[Position]] = defaultdict(list)
        for position in positions:
            by_partition[position.partition].append(position)
        replies: dict[Position, Reply] = {}
        for partition, waiting in by_partition.items():
            folded_offset = fold_offset(log, partition)  # before the decisions, so that those up to it are there
            replies |= self._read_new(log, partition, waiting)
            for position in waiting:
                if position not in replies and position.offset < folded_offset:
                    reply = _look_up_reply(log, position)
                    replies |= {} if reply is None else {position: reply}
        return replies

    def _read_new(self, log: Log, partition: int, waiting: Sequence[Position]) -> dict[Position, Reply]:
        """Read the decisions of a partition that were derived since the last time."""
        offset = self._next.get(partition)
        if offset is None:
            offset = seek_cause(log, DECISIONS, partition, min(position.offset for position in waiting))
        offsets = {position.offset for position in waiting}
        replies: dict[Position, Reply] = {}
        for record in records(log, DECISIONS, partition, offset):
            offset = record.offset + 1
            if record.cause_offset in offsets:
                replies |= _read_decisions(record.value, partition, record.cause_offset)
        self._next[partition] = offset
        return {position: reply for position, reply in replies.items() if position in waiting}


def _look_up_reply(log: Log, position: Position) -> Reply | None:
    """Look up the reply to a request that was folded; None where it is not visible yet."""
    if (reply := _find_decision(log, position)) is not None:
        return reply
    outcome = _find_outcome(log, position)
    if outcome is None or outcome["outcome"] == COUNTED:
        return None
    if outcome["outcome"] not in (DUPLICATE, CONFLICT):
        return Reply(outcome["outcome"], None, outcome.get("detail") or outcome.get("reason") or "")
    original = Position(position.partition, outcome["original_offset"], outcome["original_index"])
    if _read_request(log, original) != _read_request(log, position):
        return Reply(CONFLICT, None)
    reply = _find_decision(log, original)
    return reply and reply._replace(outcome=DUPLICATE)


def _find_decision(log: Log, position: Position) -> Reply | None:
    for value in _read_derived(log, DECISIONS, position):
        if (reply := _read_decisions(value, position.partition, position.offset).get(position)) is not None:
            return reply
    return None


def _find_outcome(log: Log, position: Position) -> dict[str, Any] | None:
    for value in _read_derived(log, ENTRIES, position):
        for line in map(decode, value.split(b"\n")):
            if line.get("event_index") == position.event_index and line["outcome"] in OUTCOMES:
                return dict(line)
    return None


def _read_derived(log: Log, topic: Topic, position: Position) -> list[bytes]:
    """Read what a record caused on a derived topic."""
    values = []
    for record in records(log, topic, position.partition, seek_cause(log, topic, position.partition, position.offset)):
        if record.cause_offset > position.offset:
            break
        values.append(record.value)
    return values


def _read_decisions(value: bytes, partition: int, offset: int) -> dict[Position, Reply]:
    return {
        Position(partition, offset, line["event_index"]): Reply(COUNTED, decode(line["body"]))
        for line in map(decode, value.split(b"\n"))
        if line["decision"] in REPLIES
    }


def _read_request(log: Log, position: Position) -> dict[str, Any]:
    """Read what a request asks, whatever its time."""
    (record, *_) = log.read(EVENTS, position.partition, position.offset, max_bytes=1)
    event = decode(record.value.split(b"\n")[position.event_index])
    return {"type": event["type"], "data": event["data"]}
