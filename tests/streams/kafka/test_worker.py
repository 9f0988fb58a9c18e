"""What Faust's own thread says when it has ended: no crash while the worker leaves, and one at any other time."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from streams.kafka.worker import PartitionHost


async def ended(_: object) -> None:
    raise RuntimeError("the thread has ended")


def seek(*, leaving: bool) -> None:
    app = SimpleNamespace(consumer=SimpleNamespace(seek_wait=ended), should_stop=leaving)
    asyncio.run(PartitionHost._seek(cast(Any, SimpleNamespace(app=app, _events_topic="events")), 0, 7))


def test_a_worker_that_leaves_is_not_crashed_by_the_thread_that_has_ended() -> None:
    seek(leaving=True)


def test_a_thread_that_ends_by_itself_is_a_crash() -> None:
    with pytest.raises(RuntimeError, match="has ended"):
        seek(leaving=False)
