"""Appends of many threads are one append of the log, each given its own records back; small requests share records."""

import asyncio
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import cast

import pytest

from ingest.api.group_commit import MAX_TOKEN_REQUESTS, Appender, Gatherer, Prepared, join_drafts
from ingest.intake.batch import MAX_BYTES, MAX_EVENTS
from ledger.errors import TallyError
from ledger.log import Draft, Log, Position, Record
from ledger.log.topics import EVENTS, REJECTED, Topic


class Slow:
    """A log whose appends take a while, and may be refused."""

    def __init__(self) -> None:
        self.appended: list[tuple[str, int]] = []
        self.refuses = False
        self._one = threading.Lock()

    def append(self, topic: Topic, drafts: Sequence[Draft]) -> list[Record]:
        assert self._one.acquire(blocking=False), "two appends at once"
        try:
            time.sleep(0.02)
            if self.refuses:
                raise TallyError("the disk is full")
            self.appended.append((topic.name, len(drafts)))
            return [Record(0, index, 0, one.key, one.headers, one.value) for index, one in enumerate(drafts)]
        finally:
            self._one.release()


def draft(number: int) -> Draft:
    return Draft(0, "acme", {}, str(number).encode())


def test_each_is_given_its_own_records() -> None:
    log = Slow()
    appender = Appender(cast(Log, log))

    def append(number: int) -> bool:
        topic = REJECTED if number % 5 == 0 else EVENTS
        drafts = [draft(number * 10 + index) for index in range(number % 3 + 1)]
        return [record.value for record in appender.append(topic, drafts)] == [one.value for one in drafts]

    with ThreadPoolExecutor(16) as threads:
        assert all(threads.map(append, range(200)))
    assert sum(count for _, count in log.appended) == sum(number % 3 + 1 for number in range(200))
    assert len(log.appended) < 200


def test_where_the_log_refuses_all_are_told_and_the_next_goes_on() -> None:
    log = Slow()
    appender = Appender(cast(Log, log))
    log.refuses = True

    def append(number: int) -> str:
        with pytest.raises(TallyError, match="the disk is full") as error:
            appender.append(EVENTS, [draft(number)])
        return str(error.value)

    with ThreadPoolExecutor(8) as threads:
        assert len(list(threads.map(append, range(20)))) == 20
    log.refuses = False
    assert [record.value for record in appender.append(EVENTS, [draft(1)])] == [b"1"]


def gather(log: Slow, requests: Sequence[tuple[str, Draft | None]]) -> list[Position | BaseException | None]:
    """The position that each request of a token is given, all at once; or what it raises."""
    gatherer = Gatherer(Appender(cast(Log, log)))

    def prepare(append: Draft | None) -> Prepared:
        if append is not None and append.value == b"not an event":
            raise ValueError("not an event")
        return Prepared(append, partial(conclude, append))

    def conclude(append: Draft | None, position: Position | None) -> Position | None:
        if append is not None and append.value == b"no answer":
            raise ValueError("no answer")
        return position

    async def run() -> list[Position | BaseException | None]:
        works = (gatherer.work(token, partial(prepare, append)) for token, append in requests)
        positions: list[Position | BaseException | None] = await asyncio.gather(*works, return_exceptions=True)
        return positions

    return asyncio.run(run())


def test_small_requests_share_a_record_and_each_has_its_own_place() -> None:
    log = Slow()
    positions = gather(log, [("token", draft(number)) for number in range(200)])
    assert sum(records for _, records in log.appended) == 4, "so many of one token a group"
    for start in range(0, 200, MAX_TOKEN_REQUESTS):
        group = positions[start : start + MAX_TOKEN_REQUESTS]
        assert isinstance(first := group[0], Position)  # two groups may be one append, so that its offset is 0 or 1
        assert group == [first._replace(event_index=index) for index in range(len(group))]


def test_requests_of_another_token_do_not_wait_for_the_next_group() -> None:
    log = Slow()
    requests = [("many", draft(number)) for number in range(MAX_TOKEN_REQUESTS + 1)] + [("single", draft(0))]
    positions = gather(log, requests)
    assert [position[2] for position in positions[-2:] if isinstance(position, Position)] == [0, MAX_TOKEN_REQUESTS]
    assert sum(records for _, records in log.appended) == 2


def test_what_needs_no_append_is_answered_and_an_error_is_its_own() -> None:
    log = Slow()
    first, second, third = gather(log, [("t", None), ("t", draft(1)._replace(value=b"not an event")), ("t", draft(2))])
    assert (first, third) == (None, Position(0, 0, 0)) and isinstance(second, ValueError)
    assert log.appended == [("tally.events", 1)]
    first, second = gather(log, [("t", draft(1)._replace(value=b"no answer")), ("t", draft(2))])
    assert isinstance(first, ValueError) and second == Position(0, 0, 1)


def test_where_the_log_refuses_each_small_request_is_told() -> None:
    log = Slow()
    log.refuses = True
    assert all(isinstance(error, TallyError) for error in gather(log, [("t", draft(number)) for number in range(3)]))


def test_only_drafts_of_the_same_sender_are_joined_and_within_the_bounds_of_a_record() -> None:
    other = Draft(0, "acme", {"principal": "other"}, b"x")
    long = draft(0)._replace(value=b"x" * (MAX_BYTES - 1))
    joined = list(join_drafts([draft(1), other, draft(2), Draft(1, "acme", {}, b"y"), long, draft(3)]))
    assert [numbers for _, numbers in joined] == [[0, 2], [4], [5], [1], [3]]
    assert [record.value for record, _ in joined][:1] == [b"1\n2"]
    assert [len(numbers) for _, numbers in join_drafts([draft(0)] * (MAX_EVENTS + 1))] == [MAX_EVENTS, 1]
