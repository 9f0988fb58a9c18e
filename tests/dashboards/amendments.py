"""Events that were held, released, accepted, reversed, replaced, revised and restated, and gateway cache hits."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ledger.log import Position, partition_of
from ledger.organizations import PLATFORM
from ledger.settings import Settings
from tallystick import Control, ControlEvent, Correction, CorrectionEvent
from tests.dashboards.feed import ORGANIZATION, Feed, call, control
from warehouse.client import connect

TOLERANCE_S = 300
"""An event further ahead of the log than this is held."""
TIME_TO_DUE_S = 7200
"""Time ahead of now until which events are held that fall due at the end of the story."""
HELD_S = 7 * 86400
"""Time ahead of now of events that stay held."""
DEARER_BOOK = """
name: test
currency: USD
providers:
  - id: openai
    model_match: {starts_with: gpt}
    models: [{id: gpt-4o, prices: [{rates: {input: 5, cache_read: 2.5, output: 20}}]}]
"""
TERMS = """
name: spring
currency: USD
terms: [{model: claude-haiku-4-5, discount: 20}]
"""
MODEL: dict[str, Any] = {"team": "growth", "provider": "openai", "model": "gpt-4o"}


@dataclass
class Ledger:
    """A ledger with an event of each kind, and the positions of their lines."""

    settings: Settings
    feed: Feed
    positions: dict[str, Position]

    def find_release(self, id: str) -> str:
        """Return the position at which the event of an id was released."""
        query = "select partition, offset, event_index from tally.events where outcome = 'release' and id = {id:String}"
        ((partition, offset, index),) = connect(self.settings).query(query, {"id": id}).result_rows
        return f"{partition}-{offset}-{index}"


class Story:
    """Feeds events one record at a time, and knows the position of each."""

    def __init__(self, feed: Feed) -> None:
        self.feed, self.now = feed, datetime.now(UTC)
        self.partition = partition_of(ORGANIZATION)

    def tell(self, *lines: bytes) -> Position:
        """Append events as one record, and return the position of the first."""
        self.feed.add(lines)
        return Position(self.partition, self.feed.end() - 1, 0)

    def call(self, id: str, tokens: int, ahead_s: float = -60, **fields: Any) -> Position:
        """Append a call of so many input tokens, so many seconds ahead of now."""
        moment = datetime.now(UTC) + timedelta(seconds=ahead_s)
        return self.tell(call(id, moment, **(MODEL | {"tokens": {"input": tokens}} | fields)))

    def correct(self, of: str, action: str, ahead_s: float = 0, **fields: Any) -> Position:
        """Append a correction of a call, whose id names both."""
        return self.tell(self.build_correction(of, action, ahead_s, **fields))

    def build_correction(self, of: str, action: str, ahead_s: float = 0, **fields: Any) -> bytes:
        """Build a correction of a call."""
        if action == "replacement":
            fields = {"replacement": MODEL | fields}
        body = {"action": action, "of": {"source": "gateway", "id": of}, "reason": "a test"} | fields
        moment = datetime.now(UTC) + timedelta(seconds=ahead_s)
        data = Correction.model_validate(body)
        return CorrectionEvent(id=f"{action} {of}", source="people", time=moment, data=data).canonical()

    def restate(self, first_offset: int, end_offset: int) -> Position:
        """Rate the records of a range again, as the platform decides it."""
        line = control(f"restated {first_offset}", "price.restated", first_offset=first_offset, end_offset=end_offset)
        return self.feed.append_as(PLATFORM, line)

    def control(self, id: str, kind: str, ahead_s: float = 0, **body: Any) -> Position:
        """Append a control record."""
        data = Control.model_validate({"control": kind, "body": body}, strict=False)
        moment = datetime.now(UTC) + timedelta(seconds=ahead_s)
        return self.tell(ControlEvent(id=id, source="people", time=moment, data=data).canonical())


def find_month(months_ago: int) -> str:
    """Return the name of a month before this one."""
    day = datetime.now(UTC).replace(day=1)
    for _ in range(months_ago):
        day = (day - timedelta(days=1)).replace(day=1)
    return f"{day:%Y-%m}"


def tell_all(feed: Feed) -> dict[str, Position]:
    """Feed one event of each kind, and return the positions of their lines."""
    story, positions = Story(feed), dict[str, Position]()
    _tell_dues(story, positions)
    _tell_held(story, positions)
    _tell_amended(story, positions)
    _tell_prices(story, positions)
    feed.ahead_s = TIME_TO_DUE_S + 600
    positions["tick"] = story.call("tick", 1)
    return positions


def _tell_dues(story: Story, positions: dict[str, Position]) -> None:
    """Tell of events that fall due before the story ends, and of what comes to them before."""
    soon_s = TOLERANCE_S + TIME_TO_DUE_S
    for id in ("due", "due reversed", "due replaced"):
        positions[id] = story.call(id, 1_000_000, soon_s)
    alias = {"name": "prod-chat", "priced_provider": "openai", "priced_model": "gpt-4o"}
    positions["due control"] = story.control("due control", "model.aliased", soon_s, **alias)
    positions["later"] = story.call("later", 3_000_000)
    positions["due correction"] = story.correct("later", "reversal", soon_s)
    positions["reversal due"] = story.correct("due reversed", "reversal")
    positions["replacement due"] = story.correct("due replaced", "replacement", tokens={"input": 2_000_000})


def _tell_held(story: Story, positions: dict[str, Position]) -> None:
    """Tell of events that are held, and of what comes to them."""
    for id in ("held", "held reversed", "held replaced", "held released"):
        positions[id] = story.call(id, 1_000_000, HELD_S)
    positions["held revised"] = story.call("held revised", 1_000_000, HELD_S, revision=1)
    positions["held revision"] = story.call("held revised", 2_000_000, revision=2)
    positions["reversal held"] = story.correct("held reversed", "reversal")
    positions["replacement held"] = story.correct("held replaced", "replacement", tokens={"input": 2_000_000})
    positions["release held"] = story.correct("held released", "release")


def _tell_amended(story: Story, positions: dict[str, Position]) -> None:
    """Tell of events that are counted, quarantined or in conflict, and of what comes to them."""
    for id in ("misreported", "misreported replaced", "misreported reversed"):
        positions[id] = story.call(id, 1_000_000, reported_tokens={"input": 7})
    for id in ("contested", "unsettled"):
        positions[id] = story.call(id, 1_000_000)
        positions[f"{id} conflict"] = story.call(id, 2_000_000)
    for id in ("reversed", "replaced", "answer"):
        positions[id] = story.call(id, 1_000_000)
    for revision in (1, 2):
        positions[f"revised {revision}"] = story.call("revised", revision * 1_000_000, revision=revision)
    story.correct("misreported", "release")
    story.correct("misreported replaced", "replacement", tokens={"input": 2_000_000})
    story.correct("misreported reversed", "reversal")
    accepted = {"offset": positions["contested conflict"].offset, "event_index": 0}
    positions["acceptance"] = story.correct("contested", "acceptance", accepted=accepted)
    story.correct("reversed", "reversal")
    positions["replacement"] = story.correct("replaced", "replacement", tokens={"input": 2_000_000})
    positions["nothing"] = story.correct("nobody's", "reversal")


def _tell_prices(story: Story, positions: dict[str, Position]) -> None:
    """Tell of cache hits, of a customer's key, of prices that were learned late, and of contracts and periods."""
    hits: Sequence[tuple[str, dict[str, Any]]] = (
        ("cached", {"cached_from": "answer"}),
        ("cached unknown", {"cached_from": "elsewhere", "response_cache": "hit"}),
        ("cached unpriced", {"response_cache": "hit", "model": "in-house-7b", "provider": "in-house"}),
    )
    for id, fields in hits:
        positions[id] = story.call(id, 1_000_000, **fields)
    positions["own key"] = story.call("own key", 1_000_000, payer="customer", customer="c-northwind")
    positions["restated"] = story.call("restated", 1_000_000)
    story.feed.adopt("test again", DEARER_BOOK)
    positions["restatement"] = story.restate(positions["restated"].offset, positions["restated"].offset + 1)
    story.feed.sign(TERMS)
    story.control("close", "period.closed", month=find_month(2))
    story.control("close again", "period.closed", month=find_month(3))
    story.control("end", "contract.ended", name="spring")
