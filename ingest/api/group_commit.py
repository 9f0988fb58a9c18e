"""Group commit: appends of many requests become durable in one commit of the log, and small ones share records."""

import asyncio
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple, TypeVar

import anyio

from ingest.intake.batch import MAX_BYTES, MAX_EVENTS
from ledger import fault_points
from ledger.log import Draft, Log, Position, Record
from ledger.log.documents import load_document
from ledger.log.topics import EVENTS, Topic

MAX_GROUPS = 2
"""Groups in work at once: one is parsed while the log syncs the other."""
MAX_TOKEN_REQUESTS = 64
"""Requests of one token in a group. What it sends beyond them waits for the next group, so that others need not."""

T = TypeVar("T")
WaitingAppend = tuple[Topic, Sequence[Draft], "Future[list[Record]]"]


class Appender:
    """Appends like the log itself, for many threads. Threads that arrive during an append wait, and the first of them
    then appends for all."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._waiting: list[WaitingAppend] = []
        self._queue = threading.Lock()
        self._turn = threading.Lock()

    def append(self, topic: Topic, drafts: Sequence[Draft]) -> list[Record]:
        """Append as ``Log.append`` does. An error is raised for all appends of the group."""
        appended: Future[list[Record]] = Future()
        with self._queue:
            self._waiting.append((topic, drafts, appended))
        with self._turn:
            if not appended.done():
                self._append_all()
        return appended.result()

    def has_document(self, digest: str) -> bool:
        """Tell whether the log holds a document."""
        return load_document(self._log, digest) is not None

    def _append_all(self) -> None:
        with self._queue:
            waiting, self._waiting = self._waiting, []
        for topic in dict.fromkeys(topic for topic, _, _ in waiting):
            group = [append for append in waiting if append[0] is topic]
            try:
                records = iter(self._log.append(topic, [draft for _, drafts, _ in group for draft in drafts]))
            except Exception as error:  # noqa: BLE001  (raised in each waiting thread)
                for _, _, appended in group:
                    appended.set_exception(error)
                continue
            for _, drafts, appended in group:
                appended.set_result([next(records) for _ in drafts])


class Prepared(NamedTuple):
    """A request that was parsed: the record of one event that it appends, and its result given the event's position.
    Without a draft the result is ready, and its position None."""

    draft: Draft | None
    conclude: Callable[[Position | None], Any]


class _Request(NamedTuple):
    token: str
    prepare: Callable[[], Prepared]
    result: "asyncio.Future[Any]"


Outcome = tuple["asyncio.Future[Any]", Any, Exception | None]


class Gatherer:
    """Works on small requests in groups: those that arrive while others are in work are the next group. A group takes
    one thread, one commit, and one record for all events of the same sender."""

    def __init__(self, appender: Appender) -> None:
        self._appender = appender
        self._waiting: list[_Request] = []
        self._groups: set[asyncio.Task[None]] = set()
        self._group_count = 0
        self._threads = anyio.CapacityLimiter(MAX_GROUPS)

    async def work(self, token: str, prepare: Callable[[], Prepared]) -> Any:
        """Prepare a request of a token in a thread, append its event durably, and return its result. Raise what
        ``prepare`` raises, and TallyError where the log does not take the event."""
        loop = asyncio.get_running_loop()
        result = loop.create_future()
        self._waiting.append(_Request(token, prepare, result))
        if self._group_count < MAX_GROUPS:
            self._group_count += 1
            group = loop.create_task(self._work_in_groups())
            self._groups.add(group)
            group.add_done_callback(self._groups.discard)
        return await result

    async def _work_in_groups(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await asyncio.sleep(0)  # requests that have arrived already join
            while group := self._take_group():
                await anyio.to_thread.run_sync(
                    self._work_on, group, lambda outcomes: loop.call_soon_threadsafe(_set_results, outcomes),
                    limiter=self._threads,
                )  # fmt: skip
        finally:
            self._group_count -= 1  # at once: the next request begins another

    def _take_group(self) -> list[_Request]:
        """Take the requests that wait, at most so many of a token."""
        counts = Counter[str]()
        group: list[_Request] = []
        rest: list[_Request] = []
        for request in self._waiting:
            counts[request.token] += 1
            (group if counts[request.token] <= MAX_TOKEN_REQUESTS else rest).append(request)
        self._waiting = rest
        return group

    def _work_on(self, group: Sequence[_Request], tell: Callable[[list[Outcome]], object]) -> None:
        """Prepare the requests of a group, and append the events of those that have one. What needs no append is told
        before it."""
        ready: list[Outcome] = []
        appends: list[tuple[_Request, Draft, Prepared]] = []
        for request in group:
            try:
                prepared = request.prepare()
                if prepared.draft is None:
                    ready.append(_conclude(request, prepared, None))
                else:
                    appends.append((request, prepared.draft, prepared))
            except Exception as error:  # noqa: BLE001  (raised where the request waits)
                ready.append((request.result, None, error))
        if ready:
            tell(ready)
        if appends:
            tell(self._append(appends))

    def _append(self, appends: Sequence[tuple[_Request, Draft, Prepared]]) -> list[Outcome]:
        joined = list(join_drafts(draft for _, draft, _ in appends))
        try:
            records = self._appender.append(EVENTS, [draft for draft, _ in joined])
            fault_points.point("http.after_append")
        except Exception as error:  # noqa: BLE001  (raised where each request waits)
            return [(request.result, None, error) for request, _, _ in appends]
        positions = {
            number: Position(record.partition, record.offset, index)
            for record, (_, numbers) in zip(records, joined, strict=True)
            for index, number in enumerate(numbers)
        }
        return [
            _conclude(request, prepared, positions[number]) for number, (request, _, prepared) in enumerate(appends)
        ]


def join_drafts(drafts: Iterable[Draft]) -> Iterator[tuple[Draft, list[int]]]:
    """Join drafts of one event each into records of the same partition, key and headers, within the bounds of a record.
    Yield each with the numbers of its drafts, in the order of its events."""
    groups: defaultdict[tuple[Any, ...], list[tuple[int, Draft]]] = defaultdict(list)
    for number, draft in enumerate(drafts):
        groups[draft.partition, draft.key, *draft.headers.items()].append((number, draft))
    for group in groups.values():
        lines: list[bytes] = []
        numbers: list[int] = []
        size = 0
        for number, draft in group:
            if lines and (len(lines) == MAX_EVENTS or size + len(draft.value) >= MAX_BYTES):
                yield group[0][1]._replace(value=b"\n".join(lines)), numbers
                lines, numbers, size = [], [], 0
            lines.append(draft.value)
            numbers.append(number)
            size += len(draft.value) + 1
        yield group[0][1]._replace(value=b"\n".join(lines)), numbers


def _conclude(request: _Request, prepared: Prepared, position: Position | None) -> Outcome:
    try:
        return request.result, prepared.conclude(position), None
    except Exception as error:  # noqa: BLE001  (raised where the request waits, and no other of its group fails)
        return request.result, None, error


def _set_results(outcomes: Iterable[Outcome]) -> None:
    for future, result, error in outcomes:
        if future.done():  # its request was cancelled
            continue
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
