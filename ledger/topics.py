"""Every topic of the log: its origin, what its records are keyed by, how long they stay, and what for."""

from typing import Literal, NamedTuple


class Topic(NamedTuple):
    name: str
    origin: Literal["recorded", "derived"]
    key: str
    retention: str
    holds: str


EVENTS = Topic(
    "tally.events", "recorded", "organization", "for ever",
    "facts, decisions of people and ticks: what everything else is derived from",
)  # fmt: skip
DOCUMENTS = Topic(
    "tally.documents", "recorded", "SHA-256 of the content", "for ever",
    "what is large, compressed: price books",
)  # fmt: skip
REJECTED = Topic(
    "tally.rejected", "recorded", "organization", "30 days",
    "what a door refused: reason, field, length, hash and skeleton, never a value",
)  # fmt: skip
ENTRIES = Topic(
    "tally.entries", "derived", "organization", "with its generation",
    "what became of each event, and its entry lines",
)  # fmt: skip
DECISIONS = Topic(
    "tally.decisions", "derived", "organization", "with its generation",
    "thresholds crossed and re-armed; control records applied, or without effect and why",
)  # fmt: skip
ALERTS = Topic(
    "tally.alerts", "derived", "organization", "with its generation",
    "alerts and their life",
)  # fmt: skip

TOPICS = (EVENTS, DOCUMENTS, REJECTED, ENTRIES, DECISIONS, ALERTS)
DERIVED = tuple(topic for topic in TOPICS if topic.origin == "derived")
PLATFORM = "_platform"
"""The reserved organization whose records concern everyone and are relayed into every partition."""
