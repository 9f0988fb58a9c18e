"""Every topic of the log: its origin, the key of its records, their retention, and its purpose."""

from typing import Literal, NamedTuple


class Topic(NamedTuple):
    """A topic. ``days`` is the retention of a record; None is for ever (a derived topic goes with its generation)."""

    name: str
    origin: Literal["recorded", "derived"]
    key: str
    holds: str
    partitions: int = 16
    days: int | None = None
    compacted: bool = False

    @property
    def retention(self) -> str:
        if self.days is not None:
            return f"{self.days} days"
        return "for ever" if self.origin == "recorded" else "with its generation"


EVENTS = Topic(
    "tally.events", "recorded", "organization",
    "facts, control records and ticks, from which everything else is derived",
)  # fmt: skip
DOCUMENTS = Topic(
    "tally.documents", "recorded", "SHA-256 of the content, or its name",
    "large content, compressed: price books; and the current generation", partitions=1,
)  # fmt: skip
REJECTED = Topic(
    "tally.rejected", "recorded", "organization",
    "refused events: reason, field, length, hash and skeleton, never a value", days=30,
)  # fmt: skip
ENTRIES = Topic("tally.entries", "derived", "organization", "outcome of each event, and its entry lines")
DECISIONS = Topic(
    "tally.decisions", "derived", "organization",
    "thresholds crossed and re-armed; control records applied, or without effect and why",
)  # fmt: skip
ALERTS = Topic("tally.alerts", "derived", "organization", "alerts, raised and resolved")
STATE = Topic("tally.state", "derived", "row", "state of the folds, and their position", compacted=True)
"""On Kafka alone: the embedded folds keep their state in the file that they derive."""

TOPICS = (EVENTS, DOCUMENTS, REJECTED, ENTRIES, DECISIONS, ALERTS)
DERIVED = tuple(topic for topic in TOPICS if topic.origin == "derived")
