"""A deliverer whose log is a list of lines, and whose clock stands until it is moved."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from alerting import routes, worker
from alerting.delivery_store import Deliveries, Delivery
from alerting.routes import Channel, Route
from alerting.worker import Deliverer, begin_at_end
from ledger.home.persons import Persons
from ledger.log import PARTITIONS, Record
from ledger.log.topics import ALERTS, DECISIONS, EVENTS, Topic
from ledger.settings import Settings
from tests.tally.conftest import eventually

START_MS = 1_790_000_000_000
MINUTE_MS = 60_000
ALERT = "3-17-0-repeated_tool"


class LineLog:
    """A log of derived lines, each a record of its own, in one partition."""

    def __init__(self) -> None:
        self.records: dict[Topic, list[Record]] = {ALERTS: [], DECISIONS: [], EVENTS: []}

    def add(self, topic: Topic, line: dict[str, Any], now_ms: int) -> None:
        cause = sum(map(len, self.records.values()))
        made = self.records[topic]
        position = {"partition": 0, "offset": cause, "seq": 1, "accepted_ms": now_ms, "event_index": 0}
        headers = {"organization": "acme", "cause_partition": "0", "cause_offset": str(cause), "cause_hash": ""}
        value = json.dumps(position | {"organization": "acme"} | line).encode()
        made.append(Record(0, len(made), now_ms, "acme", headers, value))

    def read(self, topic: Topic, partition: int, offset: int, max_bytes: int = 0) -> list[Record]:
        return self.records[topic][offset:] if partition == 0 else []

    def end(self, topic: Topic, partition: int) -> int:
        return len(self.records[topic]) if partition == 0 else 0

    def ends(self, topic: Topic) -> list[int]:
        return [self.end(topic, partition) for partition in range(PARTITIONS)]

    def last(self, topic: Topic, partition: int) -> Record | None:
        return self.records[topic][-1] if partition == 0 and self.records[topic] else None

    def follow(self) -> None:
        pass


class Story:
    """Events of a log, a clock, and a deliverer that follows both."""

    def __init__(self, home: Path, deliveries: Deliveries) -> None:
        self.home, self.now_ms = home, START_MS
        self.log, self.deliveries = LineLog(), deliveries
        begin_at_end(self.log, deliveries)  # type: ignore[arg-type]
        self.deliverer = Deliverer(Settings(home=home), self.log, deliveries)  # type: ignore[arg-type]

    def route(self, channel: Channel, address: str, **limits: Any) -> Route:
        with patch.object(routes, "_now_ms", lambda: START_MS):
            return routes.add_route(self.home, "acme", channel, address, **limits)

    def alert(self, state: str, alert: str = ALERT, **facts: Any) -> None:
        """A step of an alert: raised, escalated or resolved."""
        line = {
            "alert": alert, "state": state, "detector": "repeated_tool", "session": "s-1", "agent": "crawler",
            "tool": "grep", "repeats": 4, "spent": {"USD": "0.120000000000"}, "since_us": START_MS * 1000,
            "last_us": START_MS * 1000, "evidence": [], "severity": "warning",
        }  # fmt: skip
        self.log.add(ALERTS, line | facts, self.now_ms)

    def decide(self, control_type: str, effective_ms: int | None = None, **body: Any) -> None:
        """A decision of a person, which has effect."""
        effective_us = (self.now_ms if effective_ms is None else effective_ms) * 1000
        facts = {"control_type": control_type, "effective_us": effective_us, "known_us": self.now_ms * 1000}
        line = {"decision": "control.applied", "body": json.dumps(body), "event_source": "s", "event_id": "e"}
        self.log.add(DECISIONS, line | facts, self.now_ms)

    def name(self, pseudonym: str, name: str) -> None:
        with closing(Persons(self.home)) as persons:
            persons.remember("acme", pseudonym, name)

    def step(self, minutes: float = 0) -> None:
        """Let time pass, and deliver whatever is due then, until nothing is."""
        self.now_ms += int(minutes * MINUTE_MS)

        def is_quiet() -> bool:
            self.deliverer.step()
            return not self.deliverer._tasks and not self._is_due()

        eventually(is_quiet)

    def _is_due(self) -> bool:
        paused = self.deliverer._paused_until_ms
        with self.deliverer._lock:
            due = self.deliveries.list_due_routes(self.now_ms)
            return any(
                self.deliveries.list_due(route, self.now_ms, 1) for route in due if paused.get(route, 0) <= self.now_ms
            )

    def shown(self) -> list[Delivery]:
        """The deliveries as the command shows them, the oldest first."""
        with self.deliverer._lock:
            return self.deliveries.list_newest(None, 1_000)[::-1]

    def states(self, route: Route | None = None) -> list[tuple[str, str]]:
        """Type and state of each delivery, of a route or of all."""
        shown = [delivery for delivery in self.shown() if route is None or delivery.route == route.id]
        return [(delivery.type.removeprefix("runaway."), delivery.state) for delivery in shown]


@contextmanager
def telling_story(home: Path) -> Iterator[Story]:
    with closing(Deliveries(home)) as deliveries:
        story = Story(home, deliveries)
        clock: Callable[[], int] = lambda: story.now_ms  # noqa: E731
        with patch.object(worker, "_now_ms", clock):
            try:
                yield story
            finally:
                story.deliverer.close()
