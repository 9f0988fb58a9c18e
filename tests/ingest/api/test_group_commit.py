"""Appends of many threads are one append of the log, each given its own records back."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import pytest

from ingest.api.group_commit import Appender
from ledger.errors import TallyError
from ledger.log import Draft, Log, Record
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
