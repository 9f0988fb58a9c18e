"""Tables of the page Explore: groups, movers, and the drivers of a change."""

from collections.abc import Iterator
from decimal import Decimal

from dashboards.components.format import change, count, exact, money, percent, quantify
from dashboards.components.html import (
    Cell,
    Column,
    Html,
    add_line,
    bar,
    draw_table,
    link,
    move,
    named,
    with_hint,
)
from dashboards.pages.explore.answer import name_dimension, sign
from dashboards.pages.explore.controls import Choice
from dashboards.pages.explore.dimensions import CLASS, TREE
from dashboards.pages.explore.drivers import Drivers
from dashboards.pages.explore.measures import MEASURES, Measure, Sums
from dashboards.pages.explore.queries import Group, Groups, View
from dashboards.spelling import spell

TITLES = {
    "volume": "Volume", "mix": "Mix", "price": "Price", "added": "New", "removed": "Gone", "remainder": "Other",
}  # fmt: skip
"""The titles of the drivers."""
SIDE_MEASURES = ("billed", "tokens", "calls", "cost per call", "cost per 1M tokens")
"""The measures that a table has beside the chosen one."""


def draw_groups(choice: Choice, view: View, groups: Groups) -> None:
    """Draw the groups, the largest first, with the chosen measure before the others."""
    side_measures = [
        measure
        for measure in MEASURES
        if measure.name in SIDE_MEASURES and measure != view.measure and _is_known(view, measure)
    ]
    has_share, is_compared = view.measure.kind != "ratio", view.period.before is not None
    total = view.measure.compute(groups.now)
    columns = [
        *(Column(name_dimension(name).capitalize()) for name in view.dimensions),
        Column(_title(view.measure), "right"),
        *[Column("Share", "right wide")] * has_share,
        *[Column("Before", "right wide"), Column("Change", "right")] * is_compared,
        *(Column(_title(measure), "right wide") for measure in side_measures),
    ]

    def list_rows() -> Iterator[tuple[Cell, ...]]:
        for group in groups.rows:
            amount, before = view.measure.compute(group.now), view.measure.compute(group.before)
            yield (
                *_link_names(choice, view, group),
                _build_cell(view.measure, group.now, view.currency),
                *[bar(percent(amount or 0, total or 0))] * has_share,
                *[view.measure.format(before, view.currency), change(amount or 0, before or 0)] * is_compared,
                *(_build_cell(measure, group.now, view.currency) for measure in side_measures),
            )

    draw_table(columns, list_rows())


def draw_moves(choice: Choice, view: View, groups: Groups) -> None:
    """Draw the groups that changed, the greatest change first, those that fell to nothing included."""
    extremes = [group for group in (groups.rise, groups.fall) if group]
    longest = max((abs(_compute_move(view, group)) for group in extremes), default=Decimal(0))
    rows: list[tuple[Cell, ...]] = []
    for group in groups.moves:
        delta = _compute_move(view, group)
        now, before = (
            view.measure.format(view.measure.compute(sums), view.currency, is_exact=True)
            for sums in (group.now, group.before)
        )
        figure = view.measure.format(int(delta) if view.measure.kind == "count" else delta, view.currency)
        text = sign(figure, delta)
        cell = move(text, f"from {before} to {now}", percent(abs(delta), longest), is_rise=delta > 0)
        rows.append((*_link_names(choice, view, group), cell))
    columns = [*(Column(name_dimension(name).capitalize()) for name in view.dimensions), Column("Change", "right")]
    draw_table(columns, rows)


def draw_drivers(drivers: Drivers, before: Decimal, now: Decimal, currency: str, parts: str) -> None:
    """Draw the sum from before to now, driver by driver; ``parts`` names what price and mix are compared by."""
    texts = {
        "volume": f"{_describe_tokens(drivers)} tokens, at the average price of before",
        "mix": f"Tokens moved between {parts}, at their prices of before",
        "price": f"The same {parts} at another price per token: rates, discounts, the share of cached and output tokens"
        if "class" not in parts
        else f"The same {parts} at another price per token: rates and discounts",
        "added": f"{count(drivers.added_count)} without usage before",
        "removed": f"{count(drivers.removed_count)} without usage now",
        "remainder": "Not priced by tokens, or taken back",
    }
    longest = max(abs(getattr(drivers, name)) for name in texts)
    rows: list[tuple[Cell, ...]] = [("Period before", with_hint(money(before, currency), exact(before, currency)))]
    for name, text in texts.items():
        amount: Decimal = getattr(drivers, name)
        if not amount and name in ("added", "removed", "remainder"):
            continue
        figure = sign(money(amount, currency), amount)
        cell = (
            move(figure, exact(amount, currency), percent(abs(amount), longest), is_rise=amount > 0)
            if amount
            else figure
        )
        rows.append((add_line(Html(TITLES[name]), text), cell))
    total = with_hint(money(now, currency), exact(now, currency))
    rows.append((Html("<b>This period</b>"), Html(f"<b>{total}</b>")))
    draw_table([Column("Driver", "wrap"), Column("", "right")], rows)


def _describe_tokens(drivers: Drivers) -> str:
    text = change(drivers.now_tokens, drivers.before_tokens)
    return f"{text} of" if text else "As many"


def _compute_move(view: View, group: Group) -> Decimal:
    now, before = view.measure.compute(group.now), view.measure.compute(group.before)
    return Decimal(now or 0) - Decimal(before or 0)


def _link_names(choice: Choice, view: View, group: Group) -> Iterator[Html]:
    """Yield the names, each a link to the view of it alone: by the other dimension where there is one. A name of the
    team tree leads to the teams below it; the team that is open already has none."""
    for name, value in zip(view.dimensions, group.names, strict=True):
        spelled = spell(value)
        if name == TREE and view.filters.get(TREE) == [spelled]:
            yield named(value)
            continue
        dimensions = tuple(item for item in view.dimensions if item != name or name == TREE) or view.dimensions
        yield link(
            named(value),
            "explore",
            choice.build_link(filters={**choice.filters, name: [spelled]}, dimensions=dimensions),
        )


def _build_cell(measure: Measure, sums: Sums, currency: str) -> Html:
    """Return a figure; a mark and its hint tell of calls whose cost is not known."""
    amount = measure.compute(sums)
    text, hint = measure.format(amount, currency), measure.format(amount, currency, is_exact=True)
    if measure.name != "billed" or not sums.uncosted_calls:
        return with_hint(text, hint)
    return with_hint(
        f"{text} +", f"{hint}; not included: {quantify(sums.uncosted_calls, 'call')} whose cost is not known"
    )


def _is_known(view: View, measure: Measure) -> bool:
    source = view.source
    by_class = CLASS in (*view.dimensions, *view.filters)
    return source is not None and measure.name not in source.lacks and not (by_class and "call" in measure.name)


def _title(measure: Measure) -> str:
    return measure.name[0].upper() + measure.name[1:]
