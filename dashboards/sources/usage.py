"""The questions of the overview: sums over ``fct_usage``, which may be added up along any dimension."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from dashboards.periods import Period, Span
from dashboards.sources.warehouse import Row, ask, ask_slowly
from dashboards.spelling import read, spell
from ledger.dimensions import FILTERS

DIMENSIONS = (*FILTERS, "organization")


class View(NamedTuple):
    """What is looked at: which calls, in which currency, and by which dimension. Values are spelled, as in links."""

    period: Period
    chosen: Mapping[str, Sequence[str]]  # dimension -> its values; nothing means all
    by: str
    currency: str

    def parameters(self, span: Span) -> dict[str, Any]:
        return {
            "start": _micros(span.start),
            "end": _micros(span.end),
            "currency": self.currency,
            **{name: [read(value) for value in self.chosen.get(name, ())] for name in DIMENSIONS},
        }

    def compared(self) -> dict[str, Any]:
        """The parameters of both spans; without one before, an empty one."""
        now, before = self.period
        before = before or Span(now.start, now.start)
        return self.parameters(now) | {
            "before_start": _micros(before.start),
            "before_end": _micros(before.end),
        }


class Sums(NamedTuple):
    """What was used in a span. ``spend`` is billed cost; ``own_key`` the list cost of calls that customers paid."""

    spend: Decimal
    tokens: int
    calls: int
    own_key: Decimal
    unpriced_tokens: int

    @property
    def known(self) -> Decimal | None:
        """The spend; None where nothing has a price, which is not zero."""
        return None if self.unpriced_tokens and not self.spend and not self.own_key else self.spend


class Group(NamedTuple):
    """The calls that say the same of a dimension; the empty name is that of those that say nothing."""

    name: str
    now: Sums
    before: Sums


def _said(dimension: str) -> str:
    return f"ifNull({dimension}, '')"


def _time(name: str) -> str:
    return f"fromUnixTimestamp64Micro({{{name}:Int64}}, 'UTC')"


_NOW = f"occurred_at >= {_time('start')} and occurred_at < {_time('end')}"
_BEFORE = f"occurred_at >= {_time('before_start')} and occurred_at < {_time('before_end')}"
_CHOSEN = " and ".join(
    f"(empty({{{name}:Array(String)}}) or has({{{name}:Array(String)}}, {_said(name)}))" for name in DIMENSIONS
)
_MONEY = "currency = {currency:String}"


def _measures(side: str, when: str) -> str:
    return ", ".join(
        [
            f"sumIf(billed_cost, ({when}) and {_MONEY}) as {side}_spend",
            f"sumIf(tokens, {when}) as {side}_tokens",
            f"sumIf(calls, {when}) as {side}_calls",
            f"sumIf(list_cost, ({when}) and payer = 'customer' and {_MONEY}) as {side}_own_key",
            f"sumIf(unpriced_tokens, {when}) as {side}_unpriced_tokens",
        ]
    )


_SUMS = f"{_measures('now', _NOW)}, {_measures('before', _BEFORE)}"


def totals(view: View) -> tuple[Sums, Sums]:
    """Of the period, and of the one before it."""
    sql = f"select {_SUMS} from analytics.fct_usage where (({_NOW}) or ({_BEFORE})) and {_CHOSEN}"
    (row,) = ask(sql, **view.compared())
    return _sums(row, "now"), _sums(row, "before")


def groups(view: View, most: int = 200) -> list[Group]:
    """By the view's dimension, the dearest first; at most so many."""
    sql = (
        f"select {_said(view.by)} as name, {_SUMS} from analytics.fct_usage"
        f" where (({_NOW}) or ({_BEFORE})) and {_CHOSEN} group by name"
        " order by now_spend desc, now_tokens desc, name limit {most:UInt32}"
    )
    rows = ask(sql, most=most, **view.compared())
    return [Group(row["name"], _sums(row, "now"), _sums(row, "before")) for row in rows]


def series(view: View, drawn: Span, step: int, names: Sequence[str]) -> list[Row]:
    """Spend, tokens and calls by bar (its ``start`` in seconds since 1970) and group. Those that are not among the
    names are one group, of which ``is_other`` is true: no name says so."""
    sql = (
        "select intDiv(toUnixTimestamp(occurred_at), {step:UInt32}) * {step:UInt32} as start,"
        f" not has({{names:Array(String)}}, {_said(view.by)}) as is_other, if(is_other, '', {_said(view.by)}) as name,"
        f" toFloat64(sumIf(billed_cost, {_MONEY})) as spend, sum(tokens) as tokens, sum(calls) as calls"
        f" from analytics.fct_usage where ({_NOW}) and {_CHOSEN} group by start, is_other, name"
        " order by start, is_other, name"
    )
    return ask(sql, step=step, names=list(names), **view.parameters(drawn))


def calls(view: View, order: str, most: int) -> list[Row]:
    """The newest or the dearest calls of the period. The dearest are dear to find: they may be half a minute old."""
    span, by, answer = view.period.now, "occurred_at desc", ask
    if order == "dearest":
        span, by, answer = span.whole_minutes(), "billed_cost desc nulls last, occurred_at desc", ask_slowly
    sql = (
        "select event_source, event_id, organization, occurred_at, team, model, agent, status, pricing, currency,"
        " tokens, billed_cost, list_cost, payer"
        f" from analytics.fct_calls where ({_NOW}) and {_CHOSEN} order by {by} limit {{most:UInt32}}"
    )
    return answer(sql, most=most, **view.parameters(span))


def pace() -> int:
    """Seconds from one look to the next: a ledger of millions is looked at less often, or looking is all it does."""
    (row,) = ask_slowly("select sum(calls) as number from analytics.fct_usage")
    return 2 if row["number"] < 250_000 else 5 if row["number"] < 1_000_000 else 15


def extent() -> Span | None:
    """From the first to the last counted call, by event time; None where there is none."""
    sql = "select min(occurred_at) as first, max(occurred_at) as last, sum(calls) as calls from analytics.fct_usage"
    (row,) = ask(sql)
    return Span(row["first"], row["last"] + timedelta(microseconds=1)) if row["calls"] else None


def choices(dimension: str) -> list[str]:
    """The values that a dimension has in the ledger, spelled, the most used first."""
    sql = (
        f"select {_said(dimension)} as name from analytics.fct_usage"
        " group by name order by sum(calls) desc, name limit 500"
    )
    return [spell(row["name"]) for row in ask_slowly(sql)]


def currencies() -> list[str]:
    """The currencies of the ledger, the most used first; they are never added up together."""
    sql = (
        "select currency from analytics.fct_usage where currency != ''"
        " group by currency order by sum(calls) desc, currency"
    )
    return [row["currency"] for row in ask_slowly(sql)]


def _sums(row: Row, side: str) -> Sums:
    said = {name: row[f"{side}_{name}"] for name in Sums._fields}
    return Sums(
        spend=said["spend"] or Decimal(0),  # null where nothing was priced
        tokens=said["tokens"],
        calls=said["calls"],
        own_key=said["own_key"] or Decimal(0),
        unpriced_tokens=said["unpriced_tokens"],
    )


def _micros(moment: datetime) -> int:
    seconds = int(moment.timestamp() // 1)
    return seconds * 1_000_000 + moment.microsecond
