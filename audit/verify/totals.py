"""Totals that are compared: counts of events, and sums of entries per organization, day, model and class."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from audit.verify.row_checksums import MODULUS
from ledger.outcomes import COUNTED, NO_FACTS, OUTCOMES, RELEASE

COUNT_NAMES = ("received", "accepted", "rejected", *OUTCOMES)
COSTS = ("list_cost", "contracted_cost", "effective_cost", "billed_cost")
PICO = 10**12


class Group(NamedTuple):
    """The key of a sum of entries. The day is that of the call, in UTC; unpriced entries have no currency."""

    organization: str
    day: str
    model: str
    name: str  # the class
    currency: str


FIGURES = ("lines", "contents", "quantity", *COSTS)
"""The sums of a group: the count of its entries, their checksum (``row_checksums.py``), quantity, and costs in
10^-12."""
NO_ENTRIES = (0,) * len(FIGURES)


class Totals:
    """The totals of one source: the log, the topic, or the warehouse."""

    def __init__(self) -> None:
        self.events: Counter[tuple[str, str]] = Counter()  # facts, by organization and count
        self.control_counts: Counter[tuple[str, str, str]] = Counter()  # of the rest, by organization, kind and outcome
        self.event_checksums: Counter[tuple[str, str, str]] = Counter()  # checksum of all events, by the same key
        self.records: Counter[str] = Counter()  # by organization
        self.record_checksums: Counter[str] = Counter()  # checksum of all records, by organization
        self.groups: dict[Group, list[int]] = {}
        self.derived_counts: Counter[tuple[str, str, str]] = Counter()
        """Rows that are compared between topic and warehouse alone, by table, organization and name."""
        self.derived_checksums: Counter[tuple[str, str, str]] = Counter()
        self.decisions: Counter[str] = Counter()
        """Decisions that were recomputed from the log, by name."""

    def add_entry(self, group: Group, contents: int, quantity: int, costs: Sequence[int], lines: int = 1) -> None:
        """Add entries; costs are in 10^-12, in the order of ``COSTS``."""
        figures = self.groups.get(group)
        if figures is None:
            figures = self.groups[group] = list(NO_ENTRIES)
        figures[0] += lines
        figures[1] = (figures[1] + contents) % MODULUS
        figures[2] += quantity
        figures[3] += costs[0]
        figures[4] += costs[1]
        figures[5] += costs[2]
        figures[6] += costs[3]

    def add_outcome(
        self, organization: str, kind: str, outcome: str, reason: str | None, contents: int, times: int = 1
    ) -> None:
        """Add lines. A release moves its event from the outcome that its reason names to counted."""
        key = organization, kind, outcome
        if outcome == RELEASE and reason in OUTCOMES and kind not in NO_FACTS:
            self.events[organization, reason] -= times
            self.events[organization, COUNTED] += times
        self.event_checksums[key] = (self.event_checksums[key] + contents) % MODULUS
        if kind in NO_FACTS or outcome not in OUTCOMES:
            self.control_counts[key] += times
        else:
            self.events[organization, outcome] += times
            self.events[organization, "accepted"] += times

    def add_record(self, organization: str, received: int, refused: int, contents: int, times: int = 1) -> None:
        self.events[organization, "received"] += received
        self.events[organization, "rejected"] += refused
        self.records[organization] += times
        self.record_checksums[organization] = (self.record_checksums[organization] + contents) % MODULUS

    def add_derived(self, table: str, organization: str, name: str, contents: int, times: int = 1) -> None:
        """Add rows that the log alone does not tell: decisions, alerts, and details of events."""
        key = table, organization, name
        self.derived_counts[key] += times
        self.derived_checksums[key] = (self.derived_checksums[key] + contents) % MODULUS

    def add(self, other: "Totals") -> None:
        """Add the totals of another part of the same source."""
        for counter, addend in zip(self._counters(), other._counters(), strict=True):
            counter.update(addend)
        counters: tuple[Counter[Any], ...] = (self.event_checksums, self.record_checksums, self.derived_checksums)
        for checksums in counters:
            for key in checksums:
                checksums[key] %= MODULUS
        for group, (lines, contents, quantity, *costs) in other.groups.items():
            self.add_entry(group, contents, quantity, costs, lines)

    def as_json(self) -> list[list[Any]]:
        counters = [[[key, value] for key, value in counter.items()] for counter in self._counters()]
        return [*counters, [[group, figures] for group, figures in self.groups.items()]]

    @classmethod
    def from_json(cls, content: list[list[Any]]) -> "Totals":
        totals = cls()
        for counter, items in zip(totals._counters(), content[:-1], strict=True):
            for key, value in items:
                counter[tuple(key) if isinstance(key, list) else key] = value
        totals.groups = {Group(*group): figures for group, figures in content[-1]}
        return totals

    def _counters(self) -> tuple[Counter[Any], ...]:
        return (
            self.events, self.control_counts, self.event_checksums, self.records, self.record_checksums,
            self.derived_counts, self.derived_checksums, self.decisions,
        )  # fmt: skip

    def count_events(self, word: str) -> int:
        return sum(times for (_, outcome), times in self.events.items() if outcome == word)

    def quantity(self, name: str) -> int:
        return sum(figures[2] for group, figures in self.groups.items() if group.name == name)

    def cost(self, currency: str, kind: str) -> str:
        """Return the sum of a cost in a currency, to its last digit."""
        index = FIGURES.index(kind)
        return write_pico(sum(figures[index] for group, figures in self.groups.items() if group.currency == currency))


def write_pico(amount: int) -> str:
    """Write an amount of 10^-12 with all its digits."""
    whole, fraction = divmod(abs(amount), PICO)
    return f"{'-' if amount < 0 else ''}{whole}.{fraction:012}"


def find_first_difference(log: Totals, topic: Totals, warehouse: Totals) -> dict[str, Any] | None:
    """Return the first figure that differs between log, topic and warehouse; None where all are equal."""
    for figure, place, figures in _list_figures(log, topic, warehouse):
        if len(set(figures)) > 1:
            values = dict(zip(("log", "topic", "warehouse"), map(str, figures), strict=True))
            return {"what": figure, "where": place, **values}
    return None


def find_derived_difference(topic: Totals, warehouse: Totals) -> dict[str, Any] | None:
    """Return the first difference of what is compared between topic and warehouse alone."""
    for key in sorted({*topic.derived_checksums, *warehouse.derived_checksums}):
        for label, counter in (("{}", "derived_counts"), ("contents of {}", "derived_checksums")):
            values = {name: str(getattr(totals, counter)[key]) for name, totals in
                      (("topic", topic), ("warehouse", warehouse))}  # fmt: skip
            if len(set(values.values())) > 1:
                place = {"organization": key[1], "name": key[2]}
                return {"what": label.format(key[0]), "where": place, "log": "", **values}
    return None


def _list_figures(*sources: Totals) -> Iterator[tuple[str, dict[str, str], list[Any]]]:
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
        columns = zip(*(totals.groups.get(group, NO_ENTRIES) for totals in sources), strict=True)
        for figure, figures in zip(FIGURES, columns, strict=True):
            label = "contents of entries" if figure == "contents" else figure
            place = {"class" if name == "name" else name: value for name, value in group._asdict().items()}
            yield label, place, [write_pico(amount) for amount in figures] if figure in COSTS else list(figures)
