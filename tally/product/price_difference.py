"""The difference that a price book makes to past calls: sums, rates and reasons. Pure."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from ledger import outcomes
from ledger.money import brief, parse_text, text
from ledger.token_classes import rate_unit
from streams.folds.event import EPOCH
from tally.log.partition_copy import Line

NO_REASON = ""
_DAY_US = 86_400_000_000
UnitPrices = tuple[tuple[str, str | None], ...]
"""Classes and their prices of a unit, in the order of an entry's lines."""


class _Cost(msgspec.Struct, gc=False):
    list_cost: str | None = None
    billed_cost: str | None = None


class Entry(msgspec.Struct, gc=False):
    """The parts of a line of ``tally.entries`` that sums are made of."""

    organization: str
    outcome: str
    offset: int
    time_us: int | None = None
    original_offset: int | None = None
    team: str | None = None
    model: str | None = None
    model_resolved: str | None = None
    calls: int | None = None
    currency: str | None = None
    pricing: str | None = None
    lines: list[_Cost] = []  # msgspec makes a new one each time

    @property
    def signed_calls(self) -> int:
        return (self.calls or 1) * (-1 if self.outcome == outcomes.REVERSAL else 1)

    @property
    def is_priced(self) -> bool:
        return self.pricing in ("priced", "free")

    def sum_costs(self) -> tuple[int, int]:
        """Return the list and the billed cost in pico; a line without a rate adds nothing."""
        list_cost = sum(parse_text(line.list_cost) for line in self.lines if line.list_cost is not None)
        return list_cost, sum(parse_text(line.billed_cost) for line in self.lines if line.billed_cost is not None)


class Group(NamedTuple):
    """Calls that are summed together. ``month`` is that of the event time, in UTC."""

    organization: str
    team: str
    model: str
    month: str
    currency: str


class GroupSums(NamedTuple):
    """The calls that change, and the costs of all calls in pico."""

    changed_calls: int
    list_before: int
    list_after: int
    billed_before: int
    billed_after: int

    @property
    def is_change(self) -> bool:
        return bool(self.changed_calls) or self[1::2] != self[2::2]

    def render_costs(self) -> dict[str, str]:
        """Render the costs and their differences, exactly."""
        list_costs, billed_costs = self[1:3], self[3:5]
        return {
            f"{kind}_{name}": text(cost)
            for kind, (before, after) in (("list", list_costs), ("billed", billed_costs))
            for name, cost in (("before", before), ("after", after), ("difference", after - before))
        }


class RateChange(NamedTuple):
    """A rate before and after: of a million tokens, or of a thousand of anything else; None is no rate."""

    provider: str
    model: str
    token_class: str
    currency: str
    rate_before: str | None
    rate_after: str | None
    per: int


class ReasonChange(NamedTuple):
    """The pricing of calls before and after, each with its reason for a lack of price."""

    pricing_before: str
    reason_before: str
    pricing_after: str
    reason_after: str

    @property
    def gains_price(self) -> bool:
        """Tell whether calls that had not all of their price have it."""
        return self.pricing_before not in ("priced", "free") and self.pricing_after in ("priced", "free")

    @property
    def loses_price(self) -> bool:
        """Tell whether calls that had a price no longer have all of it."""
        return self.pricing_before in ("priced", "free") and self.pricing_after not in ("priced", "free")


@dataclass
class Totals:
    """Costs in pico by group, how many calls these are, and how many of them have no price or not all of it."""

    list_costs: Counter[Group] = field(default_factory=Counter)
    billed_costs: Counter[Group] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    unpriced: Counter[str] = field(default_factory=Counter)
    """By month, as ``calls``."""

    def add(self, entry: Entry) -> None:
        """Add an entry, or the reversal of one."""
        group = _find_group(entry, entry.currency or "")
        self.calls[group.month] += entry.signed_calls
        if not entry.is_priced:
            self.unpriced[group.month] += entry.signed_calls
        if entry.currency is not None:
            list_cost, billed_cost = entry.sum_costs()
            self.list_costs[group] += list_cost
            self.billed_costs[group] += billed_cost

    def copy(self) -> "Totals":
        """Return totals to which other entries can be added."""
        costs = Counter(self.list_costs), Counter(self.billed_costs)
        return Totals(*costs, Counter(self.calls), Counter(self.unpriced))

    def drop_months_before(self, month: str) -> None:
        """Forget the calls of earlier months."""
        for costs in (self.list_costs, self.billed_costs):
            for group in [group for group in costs if group.month < month]:
                del costs[group]
        for counts in (self.calls, self.unpriced):
            for name in [name for name in counts if name < month]:
                del counts[name]

    def sum_by_currency(self) -> dict[str, tuple[int, int]]:
        """Return the list and the billed cost of each currency."""
        currencies = sorted({group.currency for group in (*self.list_costs, *self.billed_costs)})
        return {
            currency: (_sum_currency(self.list_costs, currency), _sum_currency(self.billed_costs, currency))
            for currency in currencies
        }


@dataclass
class PriceDifference:
    """The costs of calls as the ledger has them (``recorded``), by the prices in force (``before``), and by these and
    the book (``after``).

    Before and recorded differ where the prices in force came after calls that were not restated (``pending_calls``).
    """

    document: str
    replaced_document: str | None
    is_in_force: bool
    since: str | None = None
    until: str | None = None
    as_of_ms: int = 0
    recorded: Totals = field(default_factory=Totals)
    before: Totals = field(default_factory=Totals)
    after: Totals = field(default_factory=Totals)
    pending_calls: int = 0
    changed_calls: Counter[Group] = field(default_factory=Counter)
    """Calls with another cost, or with a price where they had none, or the other way round."""
    same_cost_calls: int = 0
    """Calls that would be restated too, and keep their cost: with another reason, bound or tier basis."""
    rates: Counter[RateChange] = field(default_factory=Counter)
    reasons: Counter[ReasonChange] = field(default_factory=Counter)

    def add(self, former: Line, restated: Line) -> None:
        """Add a call that the book changes: the reversal of its entry, and the entry by the book."""
        removed, added = msgspec.convert(former, Entry), msgspec.convert(restated, Entry)
        self.after.add(removed)
        self.after.add(added)
        calls, currency = added.signed_calls, added.currency or removed.currency or ""
        if _has_other_cost(removed, added):
            self.changed_calls[_find_group(added, currency)] += calls
        else:
            self.same_cost_calls += calls
        for rate in _list_rates(former, restated, currency):
            self.rates[rate] += calls
        reasons = [line.get("unpriced_reason", NO_REASON) for line in (former, restated)]
        change = ReasonChange(former["pricing"], reasons[0], restated["pricing"], reasons[1])
        if change[:2] != change[2:]:
            self.reasons[change] += calls

    def sum_groups(self, names: Sequence[str]) -> dict[tuple[str, ...], GroupSums]:
        """Return the sums of all calls by these properties of their groups and the currency, in order, where the calls
        or the costs of any change."""
        rows: dict[tuple[str, ...], list[int]] = {}
        columns = self.changed_calls, self.before.list_costs, self.after.list_costs
        for place, figures in enumerate((*columns, self.before.billed_costs, self.after.billed_costs)):
            for group, figure in figures.items():
                key = (*(getattr(group, name) for name in names), group.currency)
                rows.setdefault(key, [0] * len(GroupSums._fields))[place] += figure
        sums = {key: GroupSums(*row) for key, row in sorted(rows.items())}
        return {key: row for key, row in sums.items() if row.is_change}

    def as_json(self) -> dict[str, Any]:
        """Return the facts with exact costs."""
        as_of = EPOCH + timedelta(milliseconds=self.as_of_ms)
        return {
            "document": self.document, "replaces": self.replaced_document, "in_force": self.is_in_force,
            "since": self.since, "until": self.until, "as_of": as_of.isoformat() if self.as_of_ms else None,
            "calls": self.before.calls.total(), "changed_calls": self.changed_calls.total(),
            "same_cost_calls": self.same_cost_calls,
            "unpriced_before": self.before.unpriced.total(), "unpriced_after": self.after.unpriced.total(),
            "pending_calls": self.pending_calls, "totals": self._render_totals(),
            "groups": [
                Group(*key)._asdict() | {"changed_calls": row.changed_calls} | row.render_costs()
                for key, row in self.sum_groups(Group._fields[:-1]).items()
            ],
            "rates": [rate._asdict() | {"calls": calls} for rate, calls in sorted(self.rates.items(), key=repr)],
            "reasons": [change._asdict() | {"calls": calls} for change, calls in sorted(self.reasons.items())],
        }  # fmt: skip

    def _render_totals(self) -> list[dict[str, Any]]:
        """Render the costs of all calls, whether they change or not, by currency."""
        recorded, before, after = (totals.sum_by_currency() for totals in (self.recorded, self.before, self.after))
        rows = []
        for currency in sorted({*recorded, *before, *after}):
            costs = [totals.get(currency, (0, 0)) for totals in (before, after)]
            list_costs, billed_costs = zip(*costs, strict=True)
            list_recorded, billed_recorded = map(text, recorded.get(currency, (0, 0)))
            rows.append(
                {"currency": currency, "list_recorded": list_recorded, "billed_recorded": billed_recorded}
                | GroupSums(0, *list_costs, *billed_costs).render_costs()
            )
        return rows


def _find_group(entry: Entry, currency: str) -> Group:
    assert entry.time_us is not None, "an entry has a time"
    model = entry.model_resolved or entry.model or ""
    return Group(entry.organization, entry.team or "", model, _name_month(entry.time_us // _DAY_US), currency)


def _has_other_cost(removed: Entry, added: Entry) -> bool:
    """Tell whether an entry costs something else than the one whose reversal this is, or is priced and that one not."""
    if removed.is_priced != added.is_priced or removed.sum_costs() != tuple(-cost for cost in added.sum_costs()):
        return True
    return any(added.sum_costs()) and removed.currency != added.currency


def _list_rates(former: Line, restated: Line, currency: str) -> Iterator[RateChange]:
    """List the classes of a call whose rate changes."""
    before, after = (
        tuple((line["class"], line["unit_price"]) for line in call["lines"]) for call in (former, restated)
    )
    provider, model = restated.get("provider", ""), restated.get("model_resolved") or restated.get("model") or ""
    for name, rate_before, rate_after, per in _compare_rates(before, after):
        yield RateChange(provider, model, name, currency, rate_before, rate_after, per)


@lru_cache(maxsize=10_000)
def _compare_rates(before: UnitPrices, after: UnitPrices) -> list[tuple[str, str | None, str | None, int]]:
    """List the classes whose rate differs, with both rates and how many units they are for. Calls that used the same
    classes at the same prices give the same."""
    prices_before, prices_after = dict(before), dict(after)
    changes = []
    for name in prices_before | prices_after:
        per = rate_unit(name)
        rates = (_render_rate(prices.get(name), per) for prices in (prices_before, prices_after))
        rate_before, rate_after = rates
        if rate_before != rate_after:
            changes.append((name, rate_before, rate_after, per))
    return changes


def _render_rate(unit_price: str | None, per: int) -> str | None:
    return None if unit_price is None else brief(text(parse_text(unit_price) * per))


def _sum_currency(costs: Counter[Group], currency: str) -> int:
    return sum(cost for group, cost in costs.items() if group.currency == currency)


@lru_cache(maxsize=1_000)
def _name_month(day: int) -> str:
    return (EPOCH + timedelta(days=day)).strftime("%Y-%m")
