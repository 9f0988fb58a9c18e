"""Queries of the page Overview: sums over ``fct_usage``, which add up along any dimension."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from dashboards.periods import Period, Span
from dashboards.sources.warehouse import Row, ask, ask_slowly
from dashboards.spelling import read_name, spell
from ledger.dimensions import FILTERS

DIMENSIONS = (*FILTERS, "organization")


class View(NamedTuple):
    """A selection of calls, with its currency and dimension. Values are spelled, as in links."""

    period: Period
    filters: Mapping[str, Sequence[str]]  # dimension -> its values; nothing means all
    dimension: str
    currency: str

    def build_parameters(self, span: Span) -> dict[str, Any]:
        return {
            "start": _to_micros(span.start),
            "end": _to_micros(span.end),
            "currency": self.currency,
            **{name: [read_name(value) for value in self.filters.get(name, ())] for name in DIMENSIONS},
        }

    def build_comparison(self) -> dict[str, Any]:
        """Build the parameters of both spans; a missing span before is empty."""
        now, before = self.period
        before = before or Span(now.start, now.start)
        return self.build_parameters(now) | {
            "before_start": _to_micros(before.start),
            "before_end": _to_micros(before.end),
        }


class Unknown(NamedTuple):
    """Calls of which not all spend is known, by what is not known of them, with their tokens and their bound."""

    unknown_calls: int
    unpriced_calls: int
    quarantined_calls: int
    tokens: int
    greatest: Decimal
    unbounded_calls: int

    @property
    def calls(self) -> int:
        return self.unknown_calls + self.unpriced_calls + self.quarantined_calls


class Sums(NamedTuple):
    """Usage of a span. ``spend`` is billed cost; ``own_key`` the list cost of calls that customers paid; ``effective``
    the cost after all discounts, with what commitments cover at their own rates, of so many ``effective_tokens``, and
    ``contract_savings`` what that is below list cost; ``unknown`` the calls, but for those that customers paid, of
    which not all spend is known, which no other figure includes."""

    spend: Decimal
    tokens: int
    calls: int
    own_key: Decimal
    effective: Decimal
    effective_tokens: int
    contract_savings: Decimal
    unknown: Unknown
    saved: Decimal = Decimal(0)

    @property
    def priced_spend(self) -> Decimal | None:
        """Return the spend; None where no usage has a price, which is not zero."""
        return None if self.unknown.calls and not self.effective and not self.own_key else self.spend


class Group(NamedTuple):
    """Calls with one value of a dimension; the empty name stands for calls without a value."""

    name: str
    now: Sums
    before: Sums


def _build_column(dimension: str) -> str:
    return f"ifNull({dimension}, '')"


def _build_time(name: str) -> str:
    return f"fromUnixTimestamp64Micro({{{name}:Int64}}, 'UTC')"


_NOW = f"occurred_at >= {_build_time('start')} and occurred_at < {_build_time('end')}"
_BEFORE = f"occurred_at >= {_build_time('before_start')} and occurred_at < {_build_time('before_end')}"
_FILTERS = " and ".join(
    f"(empty({{{name}:Array(String)}}) or has({{{name}:Array(String)}}, {_build_column(name)}))" for name in DIMENSIONS
)
_IN_CURRENCY = "currency = {currency:String}"
_PLATFORM_PAYS = "payer != 'customer'"
_UNKNOWN_CALLS = ("unknown_calls", "unpriced_calls", "quarantined_calls")


def _build_measures(side: str, when: str) -> str:
    return ", ".join(
        [
            f"sumIf(billed_cost, ({when}) and {_IN_CURRENCY}) as {side}_spend",
            f"sumIf(tokens, {when}) as {side}_tokens",
            f"sumIf(calls, {when}) as {side}_calls",
            f"sumIf(list_cost, ({when}) and payer = 'customer' and {_IN_CURRENCY}) as {side}_own_key",
            f"sumIf(saved_cost, ({when}) and {_IN_CURRENCY}) as {side}_saved",
            f"sumIf(effective_cost, ({when}) and {_IN_CURRENCY}) as {side}_effective",
            f"sumIf(tokens - unpriced_tokens, ({when}) and {_PLATFORM_PAYS} and {_IN_CURRENCY})"
            f" as {side}_effective_tokens",
            f"sumIf(list_cost - effective_cost, ({when}) and {_PLATFORM_PAYS} and {_IN_CURRENCY})"
            f" as {side}_contract_savings",
            *(f"sumIf({name}, ({when}) and {_PLATFORM_PAYS}) as {side}_{name}" for name in _UNKNOWN_CALLS),
            f"sumIf(unpriced_tokens + unknown_tokens, ({when}) and {_PLATFORM_PAYS}) as {side}_unknown_tokens",
            f"sumIf(greatest_unpriced_cost, ({when}) and {_PLATFORM_PAYS} and {_IN_CURRENCY}) as {side}_greatest",
            f"sumIf({' + '.join(_UNKNOWN_CALLS)}, ({when}) and {_PLATFORM_PAYS}"
            f" and (greatest_unpriced_cost is null or not {_IN_CURRENCY})) as {side}_unbounded_calls",
        ]
    )


_SUMS = f"{_build_measures('now', _NOW)}, {_build_measures('before', _BEFORE)}"


def sum_usage(view: View) -> tuple[Sums, Sums]:
    """Sum the usage of the period, and of the one before it."""
    sql = f"select {_SUMS} from analytics.fct_usage where (({_NOW}) or ({_BEFORE})) and {_FILTERS}"
    (row,) = ask(sql, **view.build_comparison())
    return _read_sums(row, "now"), _read_sums(row, "before")


def list_groups(view: View, max_rows: int = 200) -> list[Group]:
    """List usage by the view's dimension, the most expensive group first."""
    sql = (
        f"select {_build_column(view.dimension)} as name, {_SUMS} from analytics.fct_usage"
        f" where (({_NOW}) or ({_BEFORE})) and {_FILTERS} group by name"
        " order by now_spend desc, now_tokens desc, name limit {max_rows:UInt32}"
    )
    rows = ask(sql, max_rows=max_rows, **view.build_comparison())
    return [Group(row["name"], _read_sums(row, "now"), _read_sums(row, "before")) for row in rows]


def list_bars(view: View, span: Span, step: int, names: Sequence[str]) -> list[Row]:
    """List spend, tokens and calls by bar (its ``start`` in seconds since 1970) and group. Calls of other groups
    than ``names`` are one group with ``is_other``."""
    column = _build_column(view.dimension)
    sql = (
        "select intDiv(toUnixTimestamp64Micro(occurred_at), 1000000 * {step:Int64}) * {step:Int64} as start,"
        f" not has({{names:Array(String)}}, {column}) as is_other, if(is_other, '', {column}) as name,"
        f" toFloat64(sumIf(billed_cost, {_IN_CURRENCY})) as spend, sum(tokens) as tokens, sum(calls) as calls"
        f" from analytics.fct_usage where ({_NOW}) and {_FILTERS} group by start, is_other, name"
        " order by start, is_other, name"
    )
    return ask(sql, step=step, names=list(names), **view.build_parameters(span))


def list_calls(view: View, order: str, max_rows: int) -> list[Row]:
    """List calls of the period: the newest, the most expensive (which take long to find, so they may be half a minute
    old), or the newest of those whose cost is not known."""
    span, order_by, ask_warehouse = view.period.now, "occurred_at desc", ask
    if order == "most expensive":
        span, order_by, ask_warehouse = (
            span.whole_minutes(),
            "billed_cost desc nulls last, occurred_at desc",
            ask_slowly,
        )
    condition = " and pricing not in ('priced', 'free')" if order == "cost not known" else ""
    sql = (
        "select event_source, event_id, organization, occurred_at, team, model, agent, status, pricing, currency,"
        " tokens + unknown_tokens as tokens, billed_cost, list_cost, payer, unpriced_reason, greatest_unpriced_cost"
        f" from analytics.fct_calls where ({_NOW}) and {_FILTERS}{condition}"
        f" order by {order_by} limit {{max_rows:UInt32}}"
    )
    return ask_warehouse(sql, max_rows=max_rows, **view.build_parameters(span))


def choose_poll_interval_s() -> int:
    """Return the seconds between refreshes: more for a large ledger, whose queries would take all its time."""
    (row,) = ask_slowly("select sum(calls) as number from analytics.fct_usage")
    return 2 if row["number"] < 250_000 else 5 if row["number"] < 1_000_000 else 15


def find_extent() -> Span | None:
    """Return the span from the first to the last counted call, by event time; None where there is none."""
    sql = "select min(occurred_at) as first, max(occurred_at) as last, sum(calls) as calls from analytics.fct_usage"
    (row,) = ask(sql)
    return Span(row["first"], row["last"] + timedelta(microseconds=1)) if row["calls"] else None


def list_values(dimension: str) -> list[str]:
    """List the values of a dimension, spelled, the most used first."""
    sql = (
        f"select {_build_column(dimension)} as name from analytics.fct_usage"
        " group by name order by sum(calls) desc, name limit 500"
    )
    return [spell(row["name"]) for row in ask_slowly(sql)]


def list_currencies() -> list[str]:
    """List the currencies of the ledger, the most used first. Amounts of several are never added up."""
    sql = (
        "select currency from analytics.fct_usage where currency != ''"
        " group by currency order by sum(calls) desc, currency"
    )
    return [row["currency"] for row in ask_slowly(sql)]


def _read_sums(row: Row, side: str) -> Sums:
    sums = {name: row[f"{side}_{name}"] for name in Sums._fields if name != "unknown"}
    without_usage, without_price, in_quarantine, tokens, unbounded_calls = (
        row[f"{side}_{name}"] for name in (*_UNKNOWN_CALLS, "unknown_tokens", "unbounded_calls")
    )
    greatest = row[f"{side}_greatest"] or Decimal(0)
    unknown = Unknown(without_usage, without_price, in_quarantine, tokens, greatest, unbounded_calls)
    return Sums(
        spend=sums["spend"] or Decimal(0),  # null where nothing was priced
        tokens=sums["tokens"],
        calls=sums["calls"],
        own_key=sums["own_key"] or Decimal(0),
        effective=sums["effective"] or Decimal(0),
        effective_tokens=sums["effective_tokens"],
        contract_savings=sums["contract_savings"] or Decimal(0),
        unknown=unknown,
        saved=sums["saved"] or Decimal(0),
    )


def _to_micros(time: datetime) -> int:
    seconds = int(time.timestamp() // 1)
    return seconds * 1_000_000 + time.microsecond
