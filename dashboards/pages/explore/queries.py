"""Queries of the page Explore. Each reads the source that the view's dimensions and measure choose."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from dashboards.pages.explore.dimensions import (
    CLASS,
    TAG,
    TREE,
    Source,
    choose_source,
    find_dimension,
    name_tag_parameter,
)
from dashboards.pages.explore.drivers import Segment
from dashboards.pages.explore.measures import Measure, Sums, find_measure
from dashboards.periods import Period, Span, find_zone
from dashboards.slices import Slice, build_search
from dashboards.sources.usage import build_time_condition, build_times
from dashboards.sources.warehouse import Row, ask, ask_slowly
from dashboards.spelling import read_name

PLATFORM_PAYS = "payer != 'customer'"
MAX_VALUES = 200
_SUMS: Mapping[str, str] = {
    "billed": "sumIf(billed_cost, {when} and in_currency)",
    "list": f"sumIf(list_cost, {{when}} and in_currency and {PLATFORM_PAYS})",
    "notional": "sumIf(list_cost, {when} and in_currency and payer = 'customer')",
    "effective": f"sumIf(effective_cost, {{when}} and in_currency and {PLATFORM_PAYS})",
    "tokens": "sumIf(tokens, {when})",
    "priced_tokens": f"sumIf(tokens - unpriced_tokens, {{when}} and in_currency and {PLATFORM_PAYS})",
    "calls": "sumIf(calls, {when})",
    "priced_calls": f"sumIf(calls - uncosted_calls, {{when}} and in_currency and {PLATFORM_PAYS})",
    "uncosted_calls": f"sumIf(uncosted_calls + quarantined_calls, {{when}} and {PLATFORM_PAYS})",
    "gateway_saved": "sumIf(gateway_saved, {when} and in_currency)",
    "cache_saved": "sumIf(cache_saved, {when} and in_currency)",
    "successes": "sumIf(successes, {when} and in_currency)",
}
"""The sums of ``Sums``, over the columns of a source."""


class View(NamedTuple):
    """What the page shows: a period, a time zone, filters (dimension -> values, as links spell them), one or two
    dimensions, a measure and a currency."""

    period: Period
    zone: str
    filters: Mapping[str, Sequence[str]]
    dimensions: tuple[str, ...]
    measure_name: str
    currency: str

    @property
    def measure(self) -> Measure:
        return find_measure(self.measure_name)

    @property
    def source(self) -> Source | None:
        """The mart that has all of it; None where no mart has."""
        return choose_source((*self.dimensions, *self.filters), self.measure_name)


class Group(NamedTuple):
    """Usage with one value of each dimension, in pairs periods; the empty name stands for usage without a value."""

    names: tuple[str, ...]
    now: Sums
    before: Sums


class Groups(NamedTuple):
    """Usage by the dimensions: the sums over all groups, the names of the largest, and two tables, of groups with usage
    and of those that changed. Counts are those of all that a search matches; ``rise`` and ``fall`` are the greatest."""

    now: Sums = Sums()
    before: Sums = Sums()
    top: Sequence[tuple[str, ...]] = ()
    rows: Sequence[Group] = ()
    row_count: int = 0
    moves: Sequence[Group] = ()
    move_count: int = 0
    rise: Group | None = None
    fall: Group | None = None


def read_groups(view: View, top: int, rows: Slice, moves: Slice) -> Groups:
    """Read usage by the view's dimensions in one query."""
    names = [f"name_{index}" for index in range(len(view.dimensions))]
    key = ", ".join(names)
    now, before = (f"ifNull({view.measure.sql.format(p=side)}, 0)" for side in ("now", "before"))
    order = f"{now} desc, now_tokens desc, {key}"
    totals = ", ".join(
        f"sum({side}_{name}) over () as total_{side}_{name}" for side in ("now", "before") for name in _SUMS
    )
    sql = (
        f"with grouped as (select {key}, {_build_sums()} from {_build_rows(view, '', 'before_')} group by {key}),"
        " measured as (select *, now_calls != 0 or now_uncosted_calls != 0 or now_tokens != 0"
        " or ifNull(now_billed, 0) != 0 or ifNull(now_list, 0) != 0 or ifNull(now_notional, 0) != 0 as is_used,"
        f" is_used and {build_search(names)} as is_row, {now} - {before} as move,"
        f" move != 0 and {build_search(names, 'moves_')} as is_move, sign(move) as direction from grouped),"
        f" ranked as (select *, row_number() over (order by is_used desc, {order}) as place,"
        f" row_number() over (partition by is_row order by {order}) - 1 as row_place,"
        f" row_number() over (partition by is_move order by abs(move) desc, {key}) - 1 as move_place,"
        f" row_number() over (partition by direction order by abs(move) desc, {key}) as direction_place,"
        f" sum(is_row) over () as row_count, sum(is_move) over () as move_count, {totals} from measured)"
        " select * from ranked where place <= {top:UInt32} or (direction_place = 1 and direction != 0)"
        " or (is_row and row_place >= {first:UInt32} and row_place < {first:UInt32} + {size:UInt32})"
        " or (is_move and move_place >= {moves_first:UInt32}"
        " and move_place < {moves_first:UInt32} + {moves_size:UInt32}) order by place"
    )
    answer = _ask(view, sql, "", "before_", top=top, **rows.build_parameters(), **moves.build_parameters("moves_"))
    if not answer:
        return Groups()
    groups = [
        Group(tuple(row[name] for name in names), _read_sums(row, "now"), _read_sums(row, "before")) for row in answer
    ]
    pairs = list(zip(answer, groups, strict=True))

    def find_extreme(direction: int) -> Group | None:
        return next(
            (group for row, group in pairs if row["direction"] == direction and row["direction_place"] == 1), None
        )

    return Groups(
        _read_sums(answer[0], "total_now"), _read_sums(answer[0], "total_before"),
        [group.names for row, group in pairs if row["place"] <= top and row["is_used"]],
        [group for row, group in pairs if row["is_row"] and rows.first <= row["row_place"] < rows.last],
        int(answer[0]["row_count"]),
        [
            group
            for row, group in sorted(pairs, key=lambda pair: pair[0]["move_place"])
            if row["is_move"] and moves.first <= row["move_place"] < moves.last
        ],
        int(answer[0]["move_count"]), find_extreme(1), find_extreme(-1),
    )  # fmt: skip


def list_segments(view: View) -> list[Segment]:
    """List the models of both periods with cost and tokens, for the drivers of its change; by token class as well where
    the source has it. The cost is the measured one, or billed cost where the measure is none."""
    if not has_models(view):
        return []
    by_class = is_by_class(view)
    columns = ["provider", "model", *["class"] * by_class]
    cost = view.measure_name if view.measure.has_drivers else "billed"
    payer = "payer = 'customer'" if cost == "notional" else PLATFORM_PAYS
    tokens = f"sumIf(tokens - unpriced_tokens, {{when}} and in_currency and {payer})"
    sums = ", ".join(
        f"{sql.format(when=when)} as {side}_{name}"
        for side, when in _SIDES.items()
        for name, sql in (("cost", _SUMS[cost]), ("tokens", tokens))
    )
    extra = tuple(f"toString({column}) as segment_{column}" for column in columns)
    key = ", ".join(f"segment_{column}" for column in columns)
    sql = f"select {key}, {sums} from {_build_rows(view, '', 'before_', extra=extra)} group by {key}"
    zero = Decimal(0)
    return [
        Segment(
            " ".join(filter(None, (row[f"segment_{column}"] for column in columns[1:]))),
            row["now_cost"] or zero, int(row["now_tokens"]), row["before_cost"] or zero, int(row["before_tokens"]),
        )
        for row in _ask(view, sql, "", "before_")
    ]  # fmt: skip


def has_models(view: View) -> bool:
    """Tell whether the source of a view knows models, by which the drivers of a change are told apart."""
    return view.source is not None and view.source.name != "outcomes"


def is_by_class(view: View) -> bool:
    """Tell whether the drivers of a view know the class of tokens."""
    return view.source is not None and view.source.name == "usage"


def list_bars(view: View, span: Span, bar: int | str, names: Sequence[tuple[str, ...]]) -> list[Row]:
    """List the measure by bar and group, as floats. ``bar`` is a number of seconds, or ``day``, ``week`` or ``month``
    of the time zone: then a bar's ``start`` is a date, else seconds since 1970. Groups other than ``names`` are one
    with ``is_other``; a ratio has none, since ratios do not add up."""
    keys = [f"name_{index}" for index in range(len(view.dimensions))]
    key_sql = _build_key(keys)
    names_sql = ", ".join(f"if(is_other, '', row.{key}) as {key}" for key in keys)
    value = view.measure.sql.format(p="now")
    condition = f" where not is_other and isNotNull({value})" if view.measure.kind == "ratio" else ""
    sql = (
        f"select start, is_other, {', '.join(keys)}, toFloat64(ifNull({value}, 0)) as height from ("
        f"select {_build_bar(bar)} as start, not has({{names:Array(String)}}, {key_sql}) as is_other,"
        f" {names_sql}, {_build_sums(['now'])}"
        f" from {_build_rows(view, '', is_exact=_needs_exact_times(view, span, bar))} as row"
        f" group by start, is_other, {', '.join(keys)}){condition} order by start, is_other, {', '.join(keys)}"
    )
    charted = view._replace(period=Period(span, None))
    return _ask(
        charted,
        sql,
        "",
        step=bar if isinstance(bar, int) else 0,
        zone=view.zone,
        names=[write_key(group) for group in names],
    )


def has_exact_bars(view: View, span: Span, bar: int | str) -> bool:
    """Tell whether the bars of a view read single calls although its figures do not."""
    return view.source is not None and bool(view.source.edges) and _needs_exact_times(view, span, bar)


def write_key(names: Sequence[str]) -> str:
    """Write the names of a group as one text, which no other group has."""
    return "".join(f"{len(name.encode())}:{name}" for name in names)


def list_values(view: View, name: str) -> list[str]:
    """List the values of a dimension in the period, without the view's filters, the most used first."""
    source = choose_source([name], "tokens")
    if source is None:
        return []
    alone = view._replace(filters={}, dimensions=(name,), measure_name="tokens")
    column = "arrayJoin(owner_path)" if name == TREE else None
    rows = _build_rows(alone, "", column=column)
    sql = (
        f"select name_0 as name, sum(calls) as calls from {rows} group by name"
        f" order by calls desc, name limit {MAX_VALUES}"
    )
    return [row["name"] for row in _ask(alone, sql, "")]


def list_tag_keys() -> list[str]:
    """List the keys of tags that calls have, as names of dimensions."""
    sql = (
        "select distinct arrayJoin(mapKeys(tags)) as name from analytics.stg_tally__call_attributes"
        " order by name limit 200"
    )
    return [f"{TAG}{row['name']}" for row in ask_slowly(sql)]


_SIDES = {"now": "is_now", "before": "is_before"}


def _build_sums(sides: Sequence[str] = ("now", "before")) -> str:
    return ", ".join(
        f"{sql.format(when=_SIDES[side])} as {side}_{name}" for side in sides for name, sql in _SUMS.items()
    )


def _build_rows(
    view: View, *prefixes: str, extra: Sequence[str] = (), column: str | None = None, is_exact: bool = False
) -> str:
    """Return the usage of one or two spans as a table: the names of the group, its columns of measures, and the side of
    the comparison that it is on. Whole hours come from the sums by hour, unless ``is_exact`` times are needed."""
    source = view.source
    if source is None:
        raise ValueError(f"No mart has {view.dimensions} and {sorted(view.filters)} with {view.measure_name}")
    names = [column] if column else [build_column(view, name, source) for name in view.dimensions]
    payer = "''" if source.name == "outcomes" else "payer"
    columns = [
        *(f"toString({name}) as name_{index}" for index, name in enumerate(names)),
        *extra,
        f"{payer} as payer",
        "currency = {currency:String} as in_currency",
        *(f"{sql} as {name}" if sql != name else name for name, sql in source.columns.items()),
    ]
    filters = "".join(f" and {_build_filter(view, name, source)}" for name in view.filters)
    if CLASS in (*view.dimensions, *view.filters):
        filters += " and class not in ('call', 'quarantined')"  # rows that count calls, and have no tokens

    def build_part(mart: str, time: str, bounds: Sequence[tuple[str, str]]) -> str:
        conditions = {
            prefix: " or ".join(
                build_time_condition(time, f"{prefix}{start}", f"{prefix}{end}") for start, end in bounds
            )
            for prefix in prefixes
        }
        sides = f"{conditions['']} as is_now, {conditions.get('before_', 'false')} as is_before"
        return (
            f"select {time} as time, {sides}, {', '.join(columns)} from analytics.{mart}"
            f" where ({' or '.join(conditions.values())}){filters}"
        )

    if not source.edges:
        return f"({build_part(source.mart, source.time, [('start', 'end')])})"
    if is_exact:
        return f"({build_part(source.edges, 'occurred_at', [('start', 'end')])})"
    hours = build_part(source.mart, source.time, [("hours_start", "hours_end")])
    edges = build_part(source.edges, "occurred_at", [("start", "hours_start"), ("hours_end", "end")])
    return f"({hours} union all {edges})"


def build_column(view: View, name: str, source: Source) -> str:
    """Return the expression of a dimension in a source. The team tree gives the teams right below the one that the view
    filters by, or the topmost ones: so groups never overlap, and a team's own usage stands under its own name."""
    dimension = find_dimension(name)
    if dimension is None:
        raise ValueError(f"There is no dimension {name}")
    if name != TREE:
        return dimension.columns[source.name]
    values = view.filters.get(TREE, ())
    if len(values) == 1:
        below = "least(indexOf(owner_path, {tree_top:String}) + 1, length(owner_path))"
        return f"if(empty(owner_path), '', owner_path[{below}])"
    return "arrayFirst(team -> has({tree_values:Array(String)}, team), owner_path)" if values else "owner_path[1]"


def _build_filter(view: View, name: str, source: Source) -> str:
    parameter = _name_filter(view, name)
    if name == TREE:
        is_unowned = f"has({{{parameter}:Array(String)}}, '') and empty(owner_path)"
        return f"(hasAny(owner_path, {{{parameter}:Array(String)}}) or ({is_unowned}))"
    return f"has({{{parameter}:Array(String)}}, toString({build_column(view, name, source)}))"


def _name_filter(view: View, name: str) -> str:
    return f"filter_{list(view.filters).index(name)}"


def _build_bar(bar: int | str) -> str:
    if isinstance(bar, int):
        micros = "toUnixTimestamp64Micro(toDateTime64(time, 6, 'UTC'))"
        return f"intDiv({micros}, 1000000 * {{step:Int64}}) * {{step:Int64}}"
    day = "toDate32(toTimeZone(toDateTime64(time, 6, 'UTC'), {zone:String}))"
    return {
        "day": day,
        "week": f"subtractDays({day}, toDayOfWeek({day}) - 1)",
        "month": f"subtractDays({day}, toDayOfMonth({day}) - 1)",
    }[bar]


def _build_key(columns: Sequence[str]) -> str:
    texts = ", ".join(f"toString(length(row.{column})), ':', row.{column}" for column in columns)
    return f"concat({texts})"


def _needs_exact_times(view: View, span: Span, bar: int | str) -> bool:
    """Tell whether bars begin within hours of UTC: those below an hour, and days of zones that differ by part of
    one."""
    if isinstance(bar, int):
        return bar % 3600 != 0
    zone, month = find_zone(view.zone), timedelta(days=30)
    times = [*span, *(span.start + month * number for number in range(span.length // month + 1))]
    offsets = (time.astimezone(zone).utcoffset() for time in times)
    return any(offset is not None and offset.total_seconds() % 3600 for offset in offsets)


def _ask(view: View, sql: str, *prefixes: str, **parameters: Any) -> list[Row]:
    """Query with the parameters of the view; what reads single calls may be half a minute old."""
    now, before = view.period
    spans = {"": now, "before_": before or Span(now.start, now.start)}
    times = {name: micros for prefix in prefixes for name, micros in build_times(prefix, spans[prefix]).items()}
    filters = {_name_filter(view, name): [read_name(value) for value in view.filters[name]] for name in view.filters}
    tags = {
        name_tag_parameter(name): name.removeprefix(TAG)
        for name in (*view.dimensions, *view.filters)
        if name.startswith(TAG)
    }
    values = [read_name(value) for value in view.filters.get(TREE, ())]
    tree = {"tree_values": values, "tree_top": values[0]} if values else {}
    is_fast = view.source is not None and view.source.name == "hours"
    return (ask if is_fast else ask_slowly)(
        sql, currency=view.currency, **times, **filters, **tags, **tree, **parameters
    )


def _read_sums(row: Row, side: str) -> Sums:
    """Read the sums of a side; costs that are null are zero, but for billed cost of calls whose cost is not known."""
    values = {name: row[f"{side}_{name}"] for name in Sums._fields}
    billed, uncosted_calls, zero = values["billed"], int(values["uncosted_calls"]), Decimal(0)
    return Sums(
        billed=None if billed is None and uncosted_calls else billed or zero,
        list=values["list"] or zero,
        notional=values["notional"] or zero,
        effective=values["effective"] or zero,
        tokens=int(values["tokens"]),
        priced_tokens=int(values["priced_tokens"]),
        calls=int(values["calls"]),
        priced_calls=int(values["priced_calls"]),
        uncosted_calls=uncosted_calls,
        gateway_saved=values["gateway_saved"] or zero,
        cache_saved=values["cache_saved"] or zero,
        successes=int(values["successes"]),
    )
