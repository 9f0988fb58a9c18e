"""The live stream: what became of each event, decisions and alerts, in the order of the log's time."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from typing import Any, NamedTuple

from ledger.log import PARTITIONS, Log, Record, newest_first, records, seek_cause
from ledger.log.topics import ALERTS, DECISIONS, ENTRIES, Topic
from ledger.money import brief
from ledger.organizations import PLATFORM
from tallystick.vocabulary.base import plain

TOPICS: dict[str, Topic] = {"events": ENTRIES, "decisions": DECISIONS, "alerts": ALERTS}
BACK = 500
"""How many records of a partition are looked at for lines of before."""

Matches = Callable[[dict[str, Any]], bool]


class Line(NamedTuple):
    """A line of a derived topic, and how it is called here."""

    kind: str
    said: dict[str, Any]

    @property
    def order(self) -> tuple[int, int, int, str, int]:
        said = self.said
        return said["accepted_ms"], said["partition"], said["offset"], self.kind, said["seq"]

    def json(self) -> str:
        return json.dumps({"stream": self.kind, **self.said}, ensure_ascii=False)

    def text(self) -> str:
        """Time (UTC, the log's), organization, what happened, and the names that it has."""
        at = datetime.fromtimestamp(self.said["accepted_ms"] / 1000, UTC)
        what = _WORDS[self.kind](self.said)
        names = [f"{name}={self.said[name]}" for name in _NAMES if name in self.said]
        line = "  ".join([f"{at:%H:%M:%S}.{at.microsecond // 1000:03}", self.said["organization"], what, *names])
        return "".join(letter if letter.isprintable() else "·" for letter in line)  # an event may say anything


class Tail:
    """Reads each partition on from where it stands; what is derived anew in another generation, from its cause."""

    def __init__(self, log: Log, kinds: list[str], matches: Matches) -> None:
        self._log, self._topics, self._matches = log, {kind: TOPICS[kind] for kind in kinds}, matches
        log.follow()
        self._generation = log.generation
        self._next = {kind: log.ends(topic) for kind, topic in self._topics.items()}
        self._cause = {kind: [-1] * PARTITIONS for kind in self._topics}

    def before(self, count: int) -> list[Line]:
        """The last lines that match, up to here."""
        found: list[Line] = []
        for kind, topic in self._topics.items():
            for partition, end in enumerate(self._next[kind]):
                found += self._last(kind, topic, partition, end, count)
        return sorted(found, key=lambda line: line.order)[-count:] if count else []

    def news(self) -> list[Line]:
        """What came since."""
        self._log.follow()
        moved = self._generation != self._log.generation
        self._generation = self._log.generation
        found: list[Line] = []
        for kind, topic in self._topics.items():
            for partition, end in enumerate(self._log.ends(topic)):
                at = self._next[kind][partition]
                if moved or end < at:
                    at = seek_cause(self._log, topic, partition, self._cause[kind][partition] + 1)
                for record in records(self._log, topic, partition, at, end):
                    self._cause[kind][partition] = int(record.headers["cause_offset"])
                    found += filter(self._shown, _lines(kind, record))
                self._next[kind][partition] = end
        return sorted(found, key=lambda line: line.order)

    def _last(self, kind: str, topic: Topic, partition: int, end: int, count: int) -> list[Line]:
        found: list[Line] = []
        for record in islice(newest_first(self._log, topic, partition, end), BACK):
            self._cause[kind][partition] = max(self._cause[kind][partition], int(record.headers["cause_offset"]))
            found = [*filter(self._shown, _lines(kind, record)), *found]
            if len(found) >= count:
                break
        return found

    def _shown(self, line: Line) -> bool:
        said = line.said
        return said.get("outcome") != "record" and said["organization"] != PLATFORM and self._matches(said)


def _lines(kind: str, record: Record) -> Iterator[Line]:
    for line in record.value.split(b"\n"):
        yield Line(kind, json.loads(line))


def _event(said: dict[str, Any]) -> str:
    outcome = said["outcome"] if "reason" not in said else f"{said['outcome']} ({said['reason']})"
    words = [outcome, said.get("kind", ""), said.get("model", "")]
    if lines := said.get("lines"):
        words.append(" ".join(f"{line['class']} {line['quantity']:,}" for line in lines))
    if said.get("pricing") in ("priced", "partially_priced"):
        billed = sum((Decimal(line["billed_cost"]) for line in lines or []), Decimal(0))
        words.append(f"{plain(billed)} {said['currency']}")
    elif said.get("pricing") == "unpriced":
        words.append("no price")
    return "  ".join(filter(None, words))


def _decision(said: dict[str, Any]) -> str:
    if not said["decision"].startswith("threshold."):
        return "  ".join(filter(None, (said["decision"], said.get("control_type"), said.get("reason"))))
    crossed = "crossed" if said["decision"] == "threshold.crossed" else "below again"
    return (
        f"BUDGET {said['threshold']} % {crossed}: {said['dimension']} {said['scope']} used {brief(said['used'])} of "
        f"{brief(said['limit'])} {said['currency']} in {said['window_s']} s"
    )


def _alert(said: dict[str, Any]) -> str:
    spent = " ".join(f"{brief(amount)} {currency}" for currency, amount in said["spent"].items())
    return f"RUNAWAY {said['state']}: {said['tool']} {said['repeats']} times alike, spent {spent or 'no price'}"


_WORDS: dict[str, Callable[[dict[str, Any]], str]] = {"events": _event, "decisions": _decision, "alerts": _alert}
_NAMES = ("team", "agent", "feature", "session", "id")
