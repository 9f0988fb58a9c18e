"""Another one takes a partition while its owner sends a batch: the owner is told that it was fenced, and goes on."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import IllegalOperation, ProducerFenced

from ledger.log import Record
from ledger.log.cluster import parsed
from ledger.log.kafka import KafkaLog
from ledger.topics import ENTRIES
from streams.owner import Owner, Shared
from streams.replay import catalogues
from streams.state import Change, Reached


class Fenced:
    """As aiokafka's producer: the first send fails on the broker, and so ends the transaction for the next."""

    def __init__(self) -> None:
        self.sends: list[asyncio.Future[Any]] = []

    async def begin_transaction(self) -> None:
        pass

    async def send(self, *_: Any, **__: Any) -> "asyncio.Future[Any]":
        if self.sends:
            raise IllegalOperation("Can't send messages while not in transaction")
        self.sends.append(asyncio.get_running_loop().create_future())
        self.sends[0].set_exception(ProducerFenced())
        return self.sends[0]

    async def commit_transaction(self) -> None:
        raise AssertionError("a part of a batch was committed")


def test_a_fence_in_the_middle_of_a_batch_is_no_crash(tmp_path: Path) -> None:
    log = KafkaLog(parsed("kafka://127.0.0.1:1/none"))

    async def seek(_: int, __: int) -> None:
        pass

    owner = Owner(0, Shared(log, log.cluster, catalogues({}), tmp_path, "rows", seek))
    said = [(ENTRIES, Record(0, -1, 0, "acme", {}, b"{}"))] * 2
    with pytest.raises(ProducerFenced):
        asyncio.run(owner._commit(Fenced(), said, Reached(1, ""), Change(None, {}, {})))
