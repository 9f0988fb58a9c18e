"""A partition's owner ends when it is told to, whatever happens at that moment: else the partition has two."""

import asyncio
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka.errors import KafkaError

from ledger.log import Record
from streams.kafka.partition_owner import Owner, PendingRecord


def owner() -> Owner:
    return Owner(0, cast(Any, SimpleNamespace(cluster=None, folder=None, state_topic_id="", log=None)))


@pytest.mark.parametrize("steps", range(6))
def test_it_ends_though_a_record_arrives_just_before(steps: int) -> None:
    """The loop of events takes some steps from the record to who waits for it, and the word may come between any."""

    async def told() -> None:
        one = owner()
        waiting = asyncio.create_task(one._take_batch())
        await asyncio.sleep(0.01)
        await one.offer(Record(0, 0, 0, "acme", {}, b"{}"), lambda: None)
        for _ in range(steps):
            await asyncio.sleep(0)
        if waiting.cancel():
            with pytest.raises(asyncio.CancelledError):
                await waiting
        else:
            assert len(waiting.result()) == 1

    asyncio.run(told())


def test_it_ends_though_what_it_awaits_keeps_the_word_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    held = 0

    async def deaf(self: Owner, _: Any) -> None:
        nonlocal held
        held += 1
        assert held == 1, "it takes the partition again"
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        raise KafkaError("the broker is away, too")

    async def told() -> None:
        running = asyncio.create_task(owner().run())
        await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.wait_for(running, 10)

    monkeypatch.setattr(Owner, "_own_partition", deaf)
    monkeypatch.setattr("streams.kafka.partition_owner.RETRY_DELAY_S", 0.01)
    asyncio.run(told())
    assert held == 1


def test_it_ends_though_no_record_comes_and_waiting_keeps_the_word_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """While it holds the partition, too."""
    looked = 0

    async def deaf(self: Owner) -> list[PendingRecord]:
        nonlocal looked
        looked += 1
        assert looked == 1, "it goes on"
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        return []

    async def nothing(*_: Any) -> None:
        pass

    async def told() -> None:
        running = asyncio.create_task(owner().run())
        await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.wait_for(running, 10)

    producer = SimpleNamespace(start=nothing, stop=nothing)
    state = SimpleNamespace(position=lambda _: None, open_state=lambda _: SimpleNamespace(next_due=lambda: None))
    monkeypatch.setattr("streams.kafka.partition_owner.create_producer", lambda *_: producer)
    monkeypatch.setattr(
        "streams.kafka.partition_owner.StateCache", lambda *_: SimpleNamespace(close=lambda _: None, state=state)
    )
    monkeypatch.setattr(Owner, "_load_cache", nothing)
    monkeypatch.setattr(Owner, "_select_next", lambda *_: asyncio.sleep(0, []))
    monkeypatch.setattr(Owner, "_take_batch", deaf)
    asyncio.run(told())
    assert looked == 1
