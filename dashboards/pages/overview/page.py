"""Overview: what was spent over a period, on what, and what changed since the period before."""

from datetime import UTC, datetime
from decimal import Decimal

import streamlit as st

from dashboards import periods
from dashboards.components import call_table, charts, empty_ledger
from dashboards.components.controls import pick
from dashboards.components.format import change, count, exact, money, per_million, percent, short
from dashboards.components.html import Column, Html, bar, hinted, link, live, named, table
from dashboards.pages.overview import filters
from dashboards.pages.overview.filters import Choice
from dashboards.sources import usage
from dashboards.sources.usage import Group, Sums, View
from dashboards.sources.warehouse import guarded, guarded_part
from dashboards.spelling import spell

GROUPS = 12
MOVERS = 6
CALLS = 12


@guarded
def page() -> None:
    data = usage.extent()
    if data is None:
        empty_ledger.show()
    else:
        st.fragment(guarded_part(_live), run_every=usage.pace())(filters.choose(data))


def _live(choice: Choice) -> None:
    """Everything below the filters, at one moment, so that its figures agree."""
    data = usage.extent()
    if data is None:
        st.rerun()
    view = View(
        periods.resolve(choice.period, periods.moment(), data, choice.days), choice.chosen, "team", choice.currency
    )
    now, before = usage.totals(view)
    if not now.calls:
        _nothing_here(choice, data)
        return
    _headline(view, now, before)
    with st.container(horizontal=True, horizontal_alignment="distribute"):
        by = pick("Group by", filters.BY, "by")
        show = pick("Show", filters.SHOW, "show")
    view = view._replace(by=by)
    groups = usage.groups(view)
    charts.over_time(view, [group.name for group in groups], show)
    left, right = st.columns((5, 3), gap="large") if _moves(view, groups) else (st.container(), st.container())
    with left:
        st.subheader(f"By {by}", anchor=False)
        _table(choice, view, groups, now)
    with right:
        _what_changed(view, groups)
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.subheader("Calls", anchor=False)
        order = pick("Calls", filters.CALLS, "calls")
    call_table.table(usage.calls(view, order, CALLS))
    live(f"Live at {datetime.now(UTC):%H:%M:%S} UTC · {periods.spoken(view.period.now)}")


def _headline(view: View, now: Sums, before: Sums) -> None:
    compared = view.period.before is not None
    help_ = f"Compared with {periods.spoken(view.period.before)}" if view.period.before else None
    figures = [
        (
            "Spend",
            money(now.known, view.currency),
            change(now.spend, before.spend),
            exact(now.known, view.currency),
        ),
        ("Tokens", short(now.tokens), change(now.tokens, before.tokens), count(now.tokens)),
        ("Calls", short(now.calls), change(now.calls, before.calls), count(now.calls)),
    ]
    if now.own_key or before.own_key:
        figures.append(
            (
                "Paid by customers",
                money(now.own_key, view.currency),
                change(now.own_key, before.own_key),
                f"{exact(now.own_key, view.currency)} at list price, on customers' own keys; not in spend",
            )
        )
    with st.container(horizontal=True, key="headline"):
        for label, figure, moved, whole in figures:
            st.metric(
                label, figure, moved if compared else None, delta_color="off", border=True,
                help=". ".join(filter(None, (whole, help_))),
            )  # fmt: skip
    if now.unpriced_tokens:
        st.warning(
            f"{count(now.unpriced_tokens)} tokens of this period have no price, and are not in spend. "
            "[Which ones](trust#unpriced)",
            icon=":material/warning:",
        )


def _nothing_here(choice: Choice, data: periods.Span) -> None:
    where = periods.spoken(data)
    if choice.chosen:
        st.info("No call of this period has these properties.")
        everywhere = link("All time, with the same filters", "", choice.link() | {"period": "all"})
        without = link("The same period, without filters", "", choice._replace(chosen={}).link())
        st.html(f'<div class="tally">{without}{f" · {everywhere}" * (choice.period != "all")}</div>')
        return
    st.info(f"There are no calls in this period. The ledger has calls of {where}.")
    st.html(f'<div class="tally">{link(f"Show {where}", "", {"period": "all"})}</div>')


def _table(choice: Choice, view: View, groups: list[Group], all_: Sums) -> None:
    of_money = bool(all_.spend)
    rows = []
    for group in [group for group in groups if group.now.calls][:GROUPS]:
        now, before = group.now, group.before
        share = percent(now.spend, all_.spend) if of_money else percent(now.tokens, all_.tokens)
        rate = per_million(now.spend + now.own_key, now.tokens - now.unpriced_tokens)
        rows.append(
            (
                link(named(group.name), "", choice.link() | {view.by: spell(group.name), "by": view.by}),
                hinted(money(now.known, view.currency), exact(now.known, view.currency)),
                bar(share),
                hinted(short(now.tokens), count(now.tokens)),
                count(now.calls),
                money(rate, view.currency) if rate is not None else None,
                _moved(now, before) if view.period.before else None,
            )
        )
    columns = [
        Column(view.by.capitalize()),
        Column("Spend", "right"),
        Column("Share of spend" if of_money else "Share of tokens", "right"),
        Column("Tokens", "right"),
        Column("Calls", "right"),
        Column("Cost per 1M", "right wide"),
        Column("Change", "right wide"),
    ]
    table(columns, rows)
    if len(groups) > GROUPS:
        st.caption(f"The first {GROUPS} of {len(groups)}.")


def _moved(now: Sums, before: Sums) -> str | None:
    return change(now.spend, before.spend) or change(now.tokens, before.tokens)


def _moves(view: View, groups: list[Group]) -> list[tuple[Decimal, Group]]:
    """By how much each group's spend moved, the largest first; nothing where there is no period to compare with."""
    if view.period.before is None or not any(group.before.calls for group in groups):
        return []
    moves = ((group.now.spend - group.before.spend, group) for group in groups)
    return sorted((move for move in moves if move[0]), key=lambda move: -abs(move[0]))[:MOVERS]


def _what_changed(view: View, groups: list[Group]) -> None:
    moves = _moves(view, groups)
    if not moves:
        return
    st.subheader("What changed", anchor=False)
    top = abs(moves[0][0])
    table(
        [Column(view.by.capitalize()), Column("Moved by", "right"), Column("")],
        (
            (
                named(group.name),
                hinted(
                    f"{'+' if moved > 0 else ''}{money(moved, view.currency)}",
                    f"from {exact(group.before.spend, view.currency)} to {exact(group.now.spend, view.currency)}",
                ),
                _weight(moved, top),
            )
            for moved, group in moves
        ),
    )


def _weight(moved: Decimal, top: Decimal) -> Html:
    return Html(bar(percent(abs(moved), top)).split("</span>")[0] + "</span>")
