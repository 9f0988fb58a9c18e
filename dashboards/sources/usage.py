"""Queries of the page Overview: sums of usage, which add up along any dimension.

Whole hours of a span are read from ``fct_usage_hourly``, and the rest of it from ``fct_usage``.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from dashboards.periods import Period, Span, crop
from dashboards.slices import Slice, build_limit, build_search
from dashboards.sources.warehouse import Row, ask, ask_slowly
from dashboards.spelling import read_name, spell
from ledger.dimensions import FILTERS

DIMENSIONS = (*FILTERS, "organization")
_MIN_CROPPED = timedelta(days=92)
_RECENT = timedelta(days=1)
"""The part of a period in which the newest calls are looked for first."""


class View(NamedTuple):
    """A selection of calls, with its currency and dimension. Values are spelled, as in links."""

    period: Period
    filters: Mapping[str, Sequence[str]]  # dimension -> its values; nothing means all
    dimension: str
    currency: str

    def build_parameters(self, span: Span) -> dict[str, Any]:
        return {
            **build_times("", span),
            "currency": self.currency,
            **{name: [read_name(value) for value in self.filters.get(name, ())] for name in DIMENSIONS},
        }

    def build_comparison(self) -> dict[str, Any]:
        """Build the parameters of both spans; a missing span before is empty."""
        now, before = self.period
        before = before or Span(now.start, now.start)
        return self.build_parameters(now) | build_times("before_", before)


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


class Groups(NamedTuple):
    """Usage by a dimension: the sums over all groups, names of the most expensive, and two tables, of groups with usage
    and of those whose spend changed, the greatest change first. Counts are those of all that a search matches."""

    now: Sums
    before: Sums
    names: list[str]
    rows: list[Group]
    row_count: int
    moves: list[Group]
    move_count: int
    greatest_move: Decimal


def _build_column(dimension: str) -> str:
    return f"ifNull({dimension}, '')"


def _build_time(name: str) -> str:
    return f"fromUnixTimestamp64Micro({{{name}:Int64}}, 'UTC')"


def build_times(prefix: str, span: Span) -> dict[str, int]:
    """Return the parameters of a span, and the whole hours within it; where there are none, both are its end."""
    start, end = _to_micros(span.start), _to_micros(span.end)
    hours_start, hours_end = -(-start // _HOUR_US) * _HOUR_US, end // _HOUR_US * _HOUR_US
    if hours_start >= hours_end:
        hours_start = hours_end = end
    times = {"start": start, "end": end, "hours_start": hours_start, "hours_end": hours_end}
    return {f"{prefix}{name}": micros for name, micros in times.items()}


def build_time_condition(column: str, start: str, end: str) -> str:
    """Return the condition that a time is from one parameter of ``build_times`` to another."""
    return f"({column} >= {_build_time(start)} and {column} < {_build_time(end)})"


def _build_source(*prefixes: str) -> str:
    """Return the usage of one or more spans as a table: a row's time is exact, or the start of a whole hour."""
    hours = " or ".join(
        build_time_condition("charge_hour", f"{name}hours_start", f"{name}hours_end") for name in prefixes
    )
    edges = " or ".join(
        build_time_condition("occurred_at", f"{name}{start}", f"{name}{end}")
        for name in prefixes
        for start, end in (("start", "hours_start"), ("hours_end", "end"))
    )
    columns = ", ".join((*DIMENSIONS, "payer", "currency", *_MEASURES))
    return (
        f"(select charge_hour as occurred_at, {columns} from analytics.fct_usage_hourly where {hours}"
        f" union all select occurred_at, {columns} from analytics.fct_usage where {edges})"
    )


_HOUR_US = 3_600_000_000
_UNKNOWN_CALLS = ("unknown_calls", "unpriced_calls", "quarantined_calls")
_MEASURES = (
    "tokens", "calls", "billed_cost", "list_cost", "effective_cost", "saved_cost", "contract_savings",
    "unpriced_tokens", "unknown_tokens", "greatest_unpriced_cost", "unbounded_calls", *_UNKNOWN_CALLS,
)  # fmt: skip
_NOW = build_time_condition("occurred_at", "start", "end")
_BEFORE = build_time_condition("occurred_at", "before_start", "before_end")
_FILTERS = " and ".join(
    f"(empty({{{name}:Array(String)}}) or has({{{name}:Array(String)}}, {_build_column(name)}))" for name in DIMENSIONS
)
_IN_CURRENCY = "currency = {currency:String}"
_PLATFORM_PAYS = "payer != 'customer'"


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
            f"sumIf(contract_savings, ({when}) and {_PLATFORM_PAYS} and {_IN_CURRENCY}) as {side}_contract_savings",
            *(f"sumIf({name}, ({when}) and {_PLATFORM_PAYS}) as {side}_{name}" for name in _UNKNOWN_CALLS),
            f"sumIf(unpriced_tokens + unknown_tokens, ({when}) and {_PLATFORM_PAYS}) as {side}_unknown_tokens",
            f"sumIf(greatest_unpriced_cost, ({when}) and {_PLATFORM_PAYS} and {_IN_CURRENCY}) as {side}_greatest",
            f"sumIf(if({_IN_CURRENCY}, unbounded_calls, {' + '.join(_UNKNOWN_CALLS)}), ({when}) and {_PLATFORM_PAYS})"
            f" as {side}_unbounded_calls",
        ]
    )


_SUMS = f"{_build_measures('now', _NOW)}, {_build_measures('before', _BEFORE)}"
_TOTALS = ", ".join(
    f"sum({side}_{name}) over () as total_{side}_{name}"
    for side in ("now", "before")
    for name in (*(name for name in Sums._fields if name != "unknown"), "greatest", "unknown_tokens", "unbounded_calls",
                 *_UNKNOWN_CALLS)
)  # fmt: skip
_SETS = [(name, f"grouping({name}) = 0", _build_column(name)) for name in (*DIMENSIONS, "currency")]
_VALUES = (
    f"select multiIf({', '.join(f'{is_set}, {name!r}' for name, is_set, _ in _SETS)}, '') as dimension,"
    f" multiIf({', '.join(f'{is_set}, {column}::String' for _, is_set, column in _SETS)}, '') as name"
    f" from analytics.fct_usage_hourly group by grouping sets ({', '.join(f'({name})' for name, _, _ in _SETS)})"
    " order by sum(calls) desc, name limit 500 by dimension"
)
"""The values of every dimension, and the currencies, in one query."""

_CALL_SEARCH = build_search(("event_id", "event_source", "session", "team", "model", "agent", "status"))
_SPAN, _BOTH_SPANS = _build_source(""), _build_source("", "before_")


def read_groups(view: View, top: int, rows: Slice, moves: Slice) -> Groups:
    """Read usage by the view's dimension in one query: the sums of all groups, the ``top`` most expensive names, and
    the slices of two tables, of those with usage and of those whose spend changed."""
    order = "now_spend desc, now_tokens desc, name"
    sql = (
        f"with grouped as (select {_build_column(view.dimension)} as name, {_SUMS} from {_BOTH_SPANS}"
        f" where {_FILTERS} group by name),"
        " measured as (select *, now_calls != 0 or now_unknown_calls + now_unpriced_calls + now_quarantined_calls != 0"
        f" or now_tokens != 0 or now_spend != 0 as is_used, is_used and {build_search(['name'])} as is_row,"
        " ifNull(now_spend, 0) - ifNull(before_spend, 0) as move,"
        f" move != 0 and {build_search(['name'], 'moves_')} as is_move from grouped),"
        f" ranked as (select *, row_number() over (order by {order}) as place,"
        f" row_number() over (partition by is_row order by {order}) - 1 as row_place,"
        " row_number() over (partition by is_move order by abs(move) desc, name) - 1 as move_place,"
        " max(if(is_move, abs(move), null)) over () as greatest_move,"
        " sum(is_row) over () as row_count, sum(is_move) over () as move_count,"
        f" {_TOTALS} from measured)"
        " select * from ranked where place <= {top:UInt32}"
        " or (is_row and row_place >= {first:UInt32} and row_place < {first:UInt32} + {size:UInt32})"
        " or (is_move and move_place >= {moves_first:UInt32}"
        " and move_place < {moves_first:UInt32} + {moves_size:UInt32})"
        " order by place"
    )
    parameters = view.build_comparison() | rows.build_parameters() | moves.build_parameters("moves_")
    answer = ask(sql, top=top, **parameters)
    if not answer:
        return _NO_GROUPS
    groups = [Group(row["name"], _read_sums(row, "now"), _read_sums(row, "before")) for row in answer]
    pairs = list(zip(answer, groups, strict=True))
    return Groups(
        now=_read_sums(answer[0], "total_now"),
        before=_read_sums(answer[0], "total_before"),
        names=[group.name for row, group in pairs if row["place"] <= top and row["is_used"]],
        rows=[group for row, group in pairs if row["is_row"] and rows.first <= row["row_place"] < rows.last],
        row_count=int(answer[0]["row_count"]),
        moves=[
            group
            for row, group in sorted(pairs, key=lambda pair: pair[0]["move_place"])
            if row["is_move"] and moves.first <= row["move_place"] < moves.last
        ],
        move_count=int(answer[0]["move_count"]),
        greatest_move=answer[0]["greatest_move"] or Decimal(0),
    )


def crop_to_calls(span: Span) -> Span:
    """Return the part of a span that a chart shows: without lone calls of another year."""
    if span.length < _MIN_CROPPED:
        return span
    rows = ask(
        "select toDate32(charge_hour, 'UTC') as day, sum(greatest(calls, 0)) as calls"
        f" from analytics.fct_usage_hourly where {build_time_condition('charge_hour', 'start', 'end')}"
        " group by day having calls > 0 order by day",
        **build_times("", span),
    )
    return crop(span, [(row["day"], int(row["calls"])) for row in rows])


def list_bars(view: View, span: Span, step: int, names: Sequence[str]) -> list[Row]:
    """List spend, tokens and calls by bar (its ``start`` in seconds since 1970) and group. Calls of other groups
    than ``names`` are one group with ``is_other``."""
    column = _build_column(view.dimension)
    source = _SPAN if step * 1_000_000 % _HOUR_US == 0 else f"(select * from analytics.fct_usage where {_NOW})"
    sql = (
        "select intDiv(toUnixTimestamp64Micro(occurred_at), 1000000 * {step:Int64}) * {step:Int64} as start,"
        f" not has({{names:Array(String)}}, {column}) as is_other, if(is_other, '', {column}) as name,"
        f" toFloat64(sumIf(billed_cost, {_IN_CURRENCY})) as spend, sum(tokens) as tokens, sum(calls) as calls"
        f" from {source} where {_FILTERS} group by start, is_other, name"
        " order by start, is_other, name"
    )
    return ask(sql, step=step, names=list(names), **view.build_parameters(span))


def list_calls(view: View, order: str, rows: Slice) -> list[Row]:
    """List calls of the period: the newest, the most expensive (which take long to find, so they may be half a minute
    old), or the newest of those whose cost is not known. A search is for their session, agent, model, team or id."""
    span, order_by, ask_warehouse = view.period.now, "occurred_at desc", ask
    if order == "most expensive":
        span, order_by, ask_warehouse = (
            span.whole_minutes(),
            "billed_cost desc nulls last, occurred_at desc",
            ask_slowly,
        )
    if order == "newest":
        extent = find_extent()
        recent_start = min(span.end, extent.end) - _RECENT if extent else span.start
        if recent_start > span.start:
            calls = list_calls(view._replace(period=Period(Span(recent_start, span.end), None)), order, rows)
            if len(calls) == rows.size:
                return calls
    condition = " and pricing not in ('priced', 'free')" if order == "cost not known" else ""
    sql = (
        "select event_source, event_id, organization, occurred_at, team, model, agent, status, pricing, currency,"
        " tokens + unknown_tokens as tokens, billed_cost, list_cost, payer, unpriced_reason, greatest_unpriced_cost"
        f" from analytics.fct_calls where ({_NOW}) and {_FILTERS}{condition} and {_CALL_SEARCH}"
        f" order by {order_by} {build_limit()}"
    )
    return ask_warehouse(sql, **view.build_parameters(span), **rows.build_parameters())


def choose_poll_interval_s() -> int:
    """Return the seconds between refreshes: more for a large ledger, whose queries would take all its time."""
    calls = _read_extent()["calls"]
    return 2 if calls < 250_000 else 5 if calls < 1_000_000 else 15


def find_extent() -> Span | None:
    """Return the span from the first to the last counted call, by event time; None where there is none."""
    row = _read_extent()
    return Span(row["first"], row["last"] + timedelta(microseconds=1)) if row["calls"] else None


def _read_extent() -> Row:
    (row,) = ask(
        "select min(first_occurred_at) as first, max(last_occurred_at) as last, sum(calls) as calls"
        " from analytics.fct_usage_hourly"
    )
    return row


def list_values(dimension: str) -> list[str]:
    """List the values of a dimension, spelled, the most used first."""
    return [spell(row["name"]) for row in ask_slowly(_VALUES) if row["dimension"] == dimension]


def list_currencies() -> list[str]:
    """List the currencies of the ledger, the most used first. Amounts of several are never added up."""
    return [row["name"] for row in ask_slowly(_VALUES) if row["dimension"] == "currency" and row["name"]]


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


_NO_USAGE = _read_sums(defaultdict(int), "now")
_NO_GROUPS = Groups(_NO_USAGE, _NO_USAGE, [], [], 0, [], 0, Decimal(0))
