"""The live stream: events with their outcomes, decisions and alerts, in the order of the log's time."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from typing import Any, NamedTuple

from ledger.detectors import spell_detector
from ledger.log import PARTITIONS, Log, Position, Record, newest_first, records, seek_cause
from ledger.log.topics import ALERTS, DECISIONS, ENTRIES, Topic
from ledger.money import brief
from ledger.organizations import PLATFORM
from streams.folds.emit import write_index
from tally.log.entry_lines import find_event, read_original_position, read_position
from tallystick.vocabulary.base import format_decimal

TOPICS: dict[str, Topic] = {"events": ENTRIES, "decisions": DECISIONS, "alerts": ALERTS}
MAX_RECORDS_BACK = 500
"""Maximum number of records of a partition that are searched for past lines."""

Matches = Callable[[dict[str, Any]], bool]


class Line(NamedTuple):
    """A line of a derived topic, and the name of its stream."""

    kind: str
    content: dict[str, Any]

    @property
    def order(self) -> tuple[int, int, int, str, int]:
        content = self.content
        return content["accepted_ms"], content["partition"], content["offset"], self.kind, content["seq"]

    def json(self) -> str:
        return json.dumps({"stream": self.kind, **self.content}, ensure_ascii=False)

    def text(self) -> str:
        """Render time (UTC, of the log), organization, a description, and the dimensions that stand in the line."""
        time = datetime.fromtimestamp(self.content["accepted_ms"] / 1000, UTC)
        description = _DESCRIPTIONS[self.kind](self.content)
        names = [f"{name}={self.content[name]}" for name in _SHOWN_FIELDS if name in self.content]
        line = "  ".join(
            [f"{time:%H:%M:%S}.{time.microsecond // 1000:03}", self.content["organization"], description, *names]
        )
        return "".join(character if character.isprintable() else "·" for character in line)  # an event may say anything


class Tail:
    """Reads each partition from its last position; in a new generation, from the last cause."""

    def __init__(self, log: Log, kinds: list[str], matches: Matches) -> None:
        self._log, self._topics, self._matches = log, {kind: TOPICS[kind] for kind in kinds}, matches
        log.follow()
        self._generation = log.generation
        self._next = {kind: log.ends(topic) for kind, topic in self._topics.items()}
        self._cause = {kind: [-1] * PARTITIONS for kind in self._topics}

    def read_last(self, count: int) -> list[Line]:
        """Read the last matching lines."""
        lines: list[Line] = []
        for kind, topic in self._topics.items():
            for partition, end in enumerate(self._next[kind]):
                lines += self._last(kind, topic, partition, end, count)
        return sorted(lines, key=lambda line: line.order)[-count:] if count else []

    def read_new(self) -> list[Line]:
        """Read the matching lines since the last call."""
        self._log.follow()
        has_moved = self._generation != self._log.generation
        self._generation = self._log.generation
        lines: list[Line] = []
        for kind, topic in self._topics.items():
            for partition, end in enumerate(self._log.ends(topic)):
                offset = self._next[kind][partition]
                if has_moved or end < offset:
                    offset = seek_cause(self._log, topic, partition, self._cause[kind][partition] + 1)
                for record in records(self._log, topic, partition, offset, end):
                    self._cause[kind][partition] = record.cause_offset
                    lines += filter(self._is_shown, self._parse_record(kind, record))
                self._next[kind][partition] = end
        return sorted(lines, key=lambda line: line.order)

    def _last(self, kind: str, topic: Topic, partition: int, end: int, count: int) -> list[Line]:
        lines: list[Line] = []
        for record in islice(newest_first(self._log, topic, partition, end), MAX_RECORDS_BACK):
            self._cause[kind][partition] = max(self._cause[kind][partition], record.cause_offset)
            lines = [*filter(self._is_shown, self._parse_record(kind, record)), *lines]
            if len(lines) >= count:
                break
        return lines

    def _parse_record(self, kind: str, record: Record) -> Iterator[Line]:
        for line in record.value.split(b"\n"):
            content = json.loads(line)
            yield Line(kind, content | self._name_corrected(content) if kind == "decisions" else content)

    def _name_corrected(self, content: dict[str, Any]) -> dict[str, Any]:
        """Name the event of a correction that changes nothing: the decision names the correction alone."""
        if content["decision"] != "correction.ineffective":
            return {}
        event_index = write_index(content["event_index"])
        correction = find_event(self._log, Position(content["partition"], content["offset"], event_index))
        named = {} if correction is None else correction.data["of"]
        return {f"corrected_{name}": value for name, value in named.items()}

    def _is_shown(self, line: Line) -> bool:
        content = line.content
        return content.get("outcome") != "record" and content["organization"] != PLATFORM and self._matches(content)


def _describe_event(content: dict[str, Any]) -> str:
    outcome = content["outcome"] if "reason" not in content else f"{content['outcome']} ({content['reason']})"
    words = [outcome, content.get("kind", ""), content.get("model", "")]
    if lines := content.get("lines"):
        words.append(" ".join(f"{line['class']} {line['quantity']:,}" for line in lines))
    billed_costs = [line["billed_cost"] for line in lines or () if line["billed_cost"] is not None]
    if billed_costs:
        billed = sum(map(Decimal, billed_costs), Decimal(0))
        words.append(f"{format_decimal(billed)} {content['currency']}")
    if content.get("pricing") in ("unknown", "unpriced", "partially_priced"):
        words.append(_describe_unknown(content))
    if content["outcome"] in ("conflict", "quarantined", "held"):
        words.append(f"{content.get('source', '')} at {read_position(content)}".strip())
    if content["outcome"] == "conflict":
        words.append(f"first at {read_original_position(content)}")
    if "saved_cost" in content:
        words.append(f"cache hit, saved {brief(content['saved_cost'])} {content['currency']}")
    return "  ".join(filter(None, words))


def _describe_unknown(content: dict[str, Any]) -> str:
    """Say that a cost is not known, why, and the most that it may be."""
    state = "cost unknown" if content["pricing"] == "unknown" else "no price"
    greatest = content.get("greatest_unpriced_cost")
    bound = f"at most {brief(greatest)} {content['currency']}" if greatest is not None else "no upper bound"
    return f"{state} ({content['unpriced_reason']}), {bound}"


def _describe_decision(content: dict[str, Any]) -> str:
    if content["decision"].startswith("unknown_usage."):
        state = "is in" if content["decision"] == "unknown_usage.raised" else "has left"
        return f"BUDGET usage of unknown cost {state} the window: {content['dimension']} {content['scope']}"
    if "corrected_id" in content:
        return (
            f"correction.ineffective  {content['corrected_source']}/{content['corrected_id']}: {content['reason']}  "
            f"correction={content['event_source']}/{content['event_id']}"
        )
    if not content["decision"].startswith("threshold."):
        return "  ".join(filter(None, (content["decision"], content.get("control_type"), content.get("reason"))))
    crossed = "crossed" if content["decision"] == "threshold.crossed" else "re-armed"
    past = " in the past" if content.get("past") else ""
    percents = ", ".join(map(str, content["thresholds"]))
    return (
        f"BUDGET {percents} % {crossed}{past}: {content['dimension']} {content['scope']} used "
        f"{brief(content['used'])} of {brief(content['limit'])} {content['currency']} in {content['window_s']} s"
    )


def _describe_alert(content: dict[str, Any]) -> str:
    cost = " ".join(f"{brief(amount)} {currency}" for currency, amount in content["spent"].items())
    repeats = content["repeats"]
    signal = (
        f"{content['tool']} {repeats} equal calls"
        if "tool" in content
        else f"{spell_detector(content['detector'])} over {repeats} calls"
    )
    return f"RUNAWAY {content['state']}: {signal}, spent {cost or 'no price'}"


_DESCRIPTIONS: dict[str, Callable[[dict[str, Any]], str]] = {
    "events": _describe_event,
    "decisions": _describe_decision,
    "alerts": _describe_alert,
}
_SHOWN_FIELDS = ("team", "agent", "feature", "session", "id")
