"""Totals that are compared: counts of events, and sums of entries per organization, day, model and class."""

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple

from audit.verify.row_checksums import MODULUS
from ledger.outcomes import COUNTED, OUTCOMES, RELEASE

COUNT_NAMES = ("received", "accepted", "rejected", *OUTCOMES)


class Group(NamedTuple):
    """The key of a sum of entries. The day is that of the call, in UTC; unpriced entries have no currency."""

    organization: str
    day: str
    model: str
    name: str  # the class
    currency: str


class Sum(NamedTuple):
    """Sums of entries: their count, figures, and checksum (``row_checksums.py``)."""

    lines: int = 0
    contents: int = 0
    quantity: int = 0
    list_cost: Decimal = Decimal(0)
    contracted_cost: Decimal = Decimal(0)
    effective_cost: Decimal = Decimal(0)
    billed_cost: Decimal = Decimal(0)

    def plus(self, addend: "Sum") -> "Sum":
        return Sum(
            self.lines + addend.lines,
            (self.contents + addend.contents) % MODULUS,
            self.quantity + addend.quantity,
            self.list_cost + addend.list_cost,
            self.contracted_cost + addend.contracted_cost,
            self.effective_cost + addend.effective_cost,
            self.billed_cost + addend.billed_cost,
        )


COSTS = Sum._fields[3:]


class Totals:
    """The totals of one source: the log, the topic, or the warehouse."""

    def __init__(self) -> None:
        self.events: Counter[tuple[str, str]] = Counter()  # facts, by organization and count
        self.control_counts: Counter[tuple[str, str, str]] = Counter()  # of the rest, by organization, kind and outcome
        self.event_checksums: Counter[tuple[str, str, str]] = Counter()  # checksum of all events, by the same key
        self.records: Counter[str] = Counter()  # by organization
        self.record_checksums: Counter[str] = Counter()  # checksum of all records, by organization
        self.groups: dict[Group, Sum] = {}

    def add(self, group: Group, total: Sum) -> None:
        self.groups[group] = self.groups.get(group, Sum()).plus(total)

    def outcome(
        self, organization: str, kind: str, outcome: str, reason: str | None, contents: int, times: int = 1
    ) -> None:
        """Add lines. A release moves its event from the outcome that its reason names to counted."""
        key = organization, kind, outcome
        if outcome == RELEASE and reason in OUTCOMES and kind not in ("control", "tick"):
            self.events[organization, reason] -= times
            self.events[organization, COUNTED] += times
        self.event_checksums[key] = (self.event_checksums[key] + contents) % MODULUS
        if kind in ("control", "tick") or outcome not in OUTCOMES:
            self.control_counts[key] += times
        else:
            self.events[organization, outcome] += times
            self.events[organization, "accepted"] += times

    def record(self, organization: str, received: int, refused: int, contents: int, times: int = 1) -> None:
        self.events[organization, "received"] += received
        self.events[organization, "rejected"] += refused
        self.records[organization] += times
        self.record_checksums[organization] = (self.record_checksums[organization] + contents) % MODULUS

    def count_events(self, word: str) -> int:
        return sum(times for (_, outcome), times in self.events.items() if outcome == word)

    def quantity(self, name: str) -> int:
        return sum(total.quantity for group, total in self.groups.items() if group.name == name)

    def cost(self, currency: str, kind: str) -> Decimal:
        return sum(
            (getattr(total, kind) for group, total in self.groups.items() if group.currency == currency), Decimal(0)
        )


def find_first_difference(log: Totals, topic: Totals, warehouse: Totals) -> dict[str, Any] | None:
    """Return the first figure that differs between log, topic and warehouse; None where all are equal."""
    for figure, place, figures in _figures(log, topic, warehouse):
        if len(set(figures)) > 1:
            values = dict(zip(("log", "topic", "warehouse"), map(str, figures), strict=True))
            return {"what": figure, "where": place, **values}
    return None


def _figures(*sources: Totals) -> Iterator[tuple[str, dict[str, str], list[Any]]]:
    for key in sorted({key for totals in sources for key in totals.events}):
        yield f"events {key[1]}", {"organization": key[0]}, [totals.events[key] for totals in sources]
    for control_key in sorted({key for totals in sources for key in totals.control_counts}):
        counts = [totals.control_counts[control_key] for totals in sources]
        yield f"{control_key[1]}s {control_key[2]}", {"organization": control_key[0]}, counts
    for event_key in sorted({event_key for totals in sources for event_key in totals.event_checksums}):
        place = dict(zip(("organization", "kind", "outcome"), event_key, strict=True))
        yield "contents of events", place, [totals.event_checksums[event_key] for totals in sources]
    for organization in sorted({organization for totals in sources for organization in totals.records}):
        place = {"organization": organization}
        yield "records", place, [totals.records[organization] for totals in sources]
        yield "contents of records", place, [totals.record_checksums[organization] for totals in sources]
    for group in sorted({group for totals in sources for group in totals.groups}):
        for field in Sum._fields:
            figures = [getattr(totals.groups.get(group, Sum()), field) for totals in sources]
            label = "contents of entries" if field == "contents" else field
            place = {"class" if name == "name" else name: value for name, value in group._asdict().items()}
            yield label, place, figures
