"""Every topic of the log: its origin, what its records are keyed by, how long they stay, and what for."""

from typing import Literal, NamedTuple


class Topic(NamedTuple):
    """``days`` is how long a record stays; None is for ever (a derived topic goes with its generation)."""

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
    "facts, decisions of people and ticks: what everything else is derived from",
)  # fmt: skip
DOCUMENTS = Topic(
    "tally.documents", "recorded", "SHA-256 of the content, or what is said",
    "what is large, compressed: price books; and which generation is current", partitions=1,
)  # fmt: skip
REJECTED = Topic(
    "tally.rejected", "recorded", "organization",
    "what a door refused: reason, field, length, hash and skeleton, never a value", days=30,
)  # fmt: skip
ENTRIES = Topic("tally.entries", "derived", "organization", "what became of each event, and its entry lines")
DECISIONS = Topic(
    "tally.decisions", "derived", "organization",
    "thresholds crossed and re-armed; control records applied, or without effect and why",
)  # fmt: skip
ALERTS = Topic("tally.alerts", "derived", "organization", "alerts and their life")
STATE = Topic("tally.state", "derived", "row", "what the folds remember, beside their position", compacted=True)
"""On Kafka alone: the embedded folds keep their rows in the file that they derive."""

TOPICS = (EVENTS, DOCUMENTS, REJECTED, ENTRIES, DECISIONS, ALERTS)
DERIVED = tuple(topic for topic in TOPICS if topic.origin == "derived")
