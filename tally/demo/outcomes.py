"""Outcomes of the demo's calls, which become known minutes later: accepted, resolved, completed."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import groupby
from random import Random
from typing import Any

from tally.demo.organization import OUTCOMES

Event = dict[str, Any]
MAX_REPEATS = 3
"""An agent that calls a tool more often without a break is stuck, and completes nothing."""


def make_outcomes(events: Iterable[Event]) -> Iterator[Event]:
    """Yield an outcome for a share of what was asked: of a call, or of a session after its last call. The same events
    give the same outcomes."""
    works: dict[str, list[Event]] = {}
    for event in events:
        if event["data"].get("status") == "ok" and event["data"].get("feature") in OUTCOMES:
            works.setdefault(event["data"].get("session") or event["id"], []).append(event)
    for name, calls in works.items():
        outcome, chance = OUTCOMES[calls[0]["data"]["feature"]], Random(f"{name}/outcome")
        if chance.random() >= outcome.judged:
            continue
        is_success = chance.random() < outcome.success and not _is_stuck(calls)
        last = max(calls, key=lambda call: call["time"])
        time = datetime.fromisoformat(last["time"]) + timedelta(seconds=chance.uniform(30, 1500))
        subject: dict[str, Any] = (
            {"session": name} if "session" in last["data"] else {"of": {"source": last["source"], "id": last["id"]}}
        )
        yield {
            "id": f"{name}-outcome",
            "source": last["source"],
            "type": "tallystick.observation.v1",
            "time": time.isoformat(timespec="milliseconds"),
            "data": subject | {"metric": outcome.metric, "value": "1" if is_success else "0"},
        }


def _is_stuck(calls: list[Event]) -> bool:
    arguments = (call["data"].get("tool_arguments_hash") for call in calls)
    return any(hash is not None and len(list(repeats)) > MAX_REPEATS for hash, repeats in groupby(arguments))
