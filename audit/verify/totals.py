"""What is compared: counts of events, and sums of entries per organization, day, model and class."""

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple

from audit.verify.row_checksums import MODULUS

WORDS = ("received", "accepted", "rejected", "counted", "duplicate", "conflict", "quarantined")


class Group(NamedTuple):
    """Whose entries are summed: the day is that of the call, in UTC; unpriced entries have no currency."""

    organization: str
    day: str
    model: str
    name: str  # the class
    currency: str


class Sum(NamedTuple):
    """Of entries: how many, what they say in figures, and all they say (``audit.contents``)."""

    lines: int = 0
    contents: int = 0
    quantity: int = 0
    list_cost: Decimal = Decimal(0)
    contracted_cost: Decimal = Decimal(0)
    effective_cost: Decimal = Decimal(0)
    billed_cost: Decimal = Decimal(0)

    def plus(self, other: "Sum") -> "Sum":
        return Sum(
            self.lines + other.lines,
            (self.contents + other.contents) % MODULUS,
            self.quantity + other.quantity,
            self.list_cost + other.list_cost,
            self.contracted_cost + other.contracted_cost,
            self.effective_cost + other.effective_cost,
            self.billed_cost + other.billed_cost,
        )


COSTS = Sum._fields[3:]


class Totals:
    """The same figures, whoever says them: the log, the topic, or the warehouse."""

    def __init__(self) -> None:
        self.events: Counter[tuple[str, str]] = Counter()  # by organization and word, of facts
        self.others: Counter[tuple[str, str, str]] = Counter()  # by organization, kind and outcome
        self.said: Counter[tuple[str, str, str]] = Counter()  # contents of every event, by the same
        self.records: Counter[str] = Counter()  # by organization
        self.framed: Counter[str] = Counter()  # contents of every record, by the same
        self.groups: dict[Group, Sum] = {}

    def add(self, group: Group, one: Sum) -> None:
        self.groups[group] = self.groups.get(group, Sum()).plus(one)

    def outcome(self, organization: str, kind: str, outcome: str, contents: int, times: int = 1) -> None:
        key = organization, kind, outcome
        self.said[key] = (self.said[key] + contents) % MODULUS
        if kind in ("control", "tick"):
            self.others[key] += times
        else:
            self.events[organization, outcome] += times
            self.events[organization, "accepted"] += times

    def record(self, organization: str, received: int, refused: int, contents: int, times: int = 1) -> None:
        self.events[organization, "received"] += received
        self.events[organization, "rejected"] += refused
        self.records[organization] += times
        self.framed[organization] = (self.framed[organization] + contents) % MODULUS

    def word(self, word: str) -> int:
        return sum(times for (_, said), times in self.events.items() if said == word)

    def quantity(self, name: str) -> int:
        return sum(one.quantity for group, one in self.groups.items() if group.name == name)

    def cost(self, currency: str, kind: str) -> Decimal:
        return sum((getattr(one, kind) for group, one in self.groups.items() if group.currency == currency), Decimal(0))


def first_difference(log: Totals, topic: Totals, warehouse: Totals) -> dict[str, Any] | None:
    """The first figure that is not the same three times, in the order of its name; None where there is none."""
    for what, where, figures in _figures(log, topic, warehouse):
        if len(set(figures)) > 1:
            said = dict(zip(("log", "topic", "warehouse"), map(str, figures), strict=True))
            return {"what": what, "where": where, **said}
    return None


def _figures(*three: Totals) -> Iterator[tuple[str, dict[str, str], list[Any]]]:
    for key in sorted({key for one in three for key in one.events}):
        yield f"events {key[1]}", {"organization": key[0]}, [one.events[key] for one in three]
    for other in sorted({key for one in three for key in one.others}):
        yield f"{other[1]}s {other[2]}", {"organization": other[0]}, [one.others[other] for one in three]
    for said in sorted({said for one in three for said in one.said}):
        where = dict(zip(("organization", "kind", "outcome"), said, strict=True))
        yield "contents of events", where, [one.said[said] for one in three]
    for organization in sorted({organization for one in three for organization in one.records}):
        where = {"organization": organization}
        yield "records", where, [one.records[organization] for one in three]
        yield "contents of records", where, [one.framed[organization] for one in three]
    for group in sorted({group for one in three for group in one.groups}):
        for field in Sum._fields:
            figures = [getattr(one.groups.get(group, Sum()), field) for one in three]
            what = "contents of entries" if field == "contents" else field
            yield what, {"class" if name == "name" else name: said for name, said in group._asdict().items()}, figures
