"""The plain Faust program: an event a record, and the cost of each session in a Table.

It runs beside the product (``PLAIN_BROKER``, ``PLAIN_NAME`` and ``PLAIN_PARTITIONS`` name the topic), as
``python -m benchmarks.kafka.faust_baseline_app worker``.
"""

import os
from collections.abc import AsyncIterable
from typing import Any

import faust

PER_MILLION = {
    "gpt-4o": {"input": 2.5, "cache_read": 1.25, "output": 10.0, "reasoning": 10.0},
    "gpt-4.1-mini": {"input": 0.4, "cache_read": 0.1, "output": 1.6, "reasoning": 1.6},
}
NAME = os.environ["PLAIN_NAME"]

app = faust.App(
    NAME,
    broker=f"kafka://{os.environ['PLAIN_BROKER']}",
    store="memory://",
    topic_partitions=int(os.environ["PLAIN_PARTITIONS"]),
    topic_disable_leader=True,
    broker_session_timeout=6.0,  # as ours: the default would let each kill stand for a minute
    broker_heartbeat_interval=2.0,
    consumer_auto_offset_reset="earliest",
)
calls = app.topic(f"{NAME}-calls", key_type=str)
spend = app.Table("spend", default=lambda: {"calls": 0, "cost": 0.0})


@app.agent(calls)
async def add(stream: Any) -> None:
    items: AsyncIterable[tuple[str, dict[str, Any]]] = stream.items()
    async for session, call in items:
        prices = PER_MILLION[call["data"]["model"]]
        cost = sum(prices[name] * tokens for name, tokens in call["data"]["tokens"].items()) / 1e6
        before = spend[session]
        spend[session] = {"calls": before["calls"] + 1, "cost": before["cost"] + cost}


if __name__ == "__main__":
    app.main()
