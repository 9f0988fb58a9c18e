"""The page Overview: spend over a period by dimension, its change since the period before, and calls."""

from collections.abc import Sequence

import streamlit as st

from dashboards import periods
from dashboards.components import call_table, charts, empty_ledger, pager
from dashboards.components.controls import pick, read_pick
from dashboards.components.format import change, count, exact, money, per_million, percent, quantify, short
from dashboards.components.html import Column, Html, bar, draw_live_line, draw_table, link, move, named, with_hint
from dashboards.components.links import draw_trees_link
from dashboards.components.unknown_usage import describe_bound, describe_calls
from dashboards.page_list import find_page
from dashboards.pages.overview import filters
from dashboards.pages.overview.filters import Choice
from dashboards.sources import usage
from dashboards.sources.usage import Group, Groups, Sums, Unknown, View
from dashboards.sources.warehouse import guard_fragment, guard_page
from dashboards.spelling import spell

MAX_MOVES = 6


@guard_page
def page() -> None:
    data = usage.find_extent()
    if data is None:
        empty_ledger.show()
    else:
        st.fragment(guard_fragment(_show_figures), run_every=usage.choose_poll_interval_s())(filters.choose(data))


def _show_figures(choice: Choice) -> None:
    """Draw everything below the filters, as of one time, so that the figures agree."""
    data = usage.find_extent()
    if data is None:
        st.rerun()
    period = periods.resolve(choice.period, periods.read_clock(), data, choice.days)
    view = View(period, choice.filters, read_pick(filters.DIMENSIONS, "by"), choice.currency)
    rows, moves = pager.read_slice("groups"), pager.read_slice("moves", MAX_MOVES)
    groups = usage.read_groups(view, charts.MAX_GROUPS, rows, moves)
    now = groups.now
    if not now.calls and not now.unknown.calls:
        _show_no_calls(choice, view, groups.before, data)
        return
    _show_headline(choice, view, now, groups.before)
    with st.container(horizontal=True, horizontal_alignment="distribute"):
        dimension = pick("Group by", filters.DIMENSIONS, "by")
        measure = pick("Show", filters.MEASURES, "show")
    charts.draw_usage(view, groups.names, measure)
    has_moves = view.period.before is not None and (groups.move_count or moves.search) and groups.before.calls
    main_column, side_column = st.columns((5, 3), gap="large") if has_moves else (st.container(), st.container())
    with main_column:
        pager.draw_title(f"By {dimension}", "groups", f"Search {dimension}s", rows, groups.row_count)
        _show_groups(choice, view, groups.rows, now)
        pager.draw_pages("groups", rows, groups.row_count)
        explore_link = link("Explore by two dimensions", "explore", choice.to_explore_parameters(dimension))
        st.html(f'<div class="tally">{explore_link}</div>')
    if has_moves:
        with side_column:
            pager.draw_title("Largest changes", "moves", "Search changes", moves, groups.move_count)
            _show_moves(choice, view, groups)
            pager.draw_pages("moves", moves, groups.move_count)
    _show_calls(view)
    draw_trees_link(choice.period)
    draw_live_line(f" · {periods.format_span(view.period.now)}")


def _show_calls(view: View) -> None:
    rows = pager.read_slice("list")
    order = read_pick(filters.CALL_ORDERS, "calls")
    calls = usage.list_calls(view, order, rows._replace(size=rows.size + 1))
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.subheader("Calls", anchor=False, width="content")
        pager.draw_search("list", "Search calls", rows, len(calls))
        pick("Calls", filters.CALL_ORDERS, "calls")
    call_table.draw_calls(calls[: rows.size])
    if not calls and rows.search:
        st.caption("No call has this text.")
    pager.draw_more("list", rows, len(calls))


def _show_headline(choice: Choice, view: View, now: Sums, before: Sums) -> None:
    is_compared = view.period.before is not None
    comparison = f"Compared with {periods.format_span(view.period.before)}" if view.period.before else None
    figures = [
        (
            "Spend",
            money(now.priced_spend, view.currency),
            change(now.spend, before.spend),
            _describe_spend(view, now),
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
                f"{exact(now.own_key, view.currency)} at list price, on customers' own keys; not included in spend",
            )
        )
    if now.contract_savings or before.contract_savings:
        figures.append(
            (
                "Saved by contracts",
                money(now.contract_savings, view.currency),
                change(now.contract_savings, before.contract_savings),
                f"{exact(now.contract_savings, view.currency)} below list price: discounts, negotiated rates, and what"
                " commitments cover at their own rates. Usage without a list price is left out",
            )
        )
    if now.saved or before.saved:
        figures.append(
            (
                "Saved by the gateway's cache",
                money(now.saved, view.currency),
                change(now.saved, before.saved),
                f"{exact(now.saved, view.currency)} at list price, for calls that a cache answered; in no other figure",
            )
        )
    with st.container(horizontal=True, key="headline"):
        for label, figure, delta, detail in figures:
            is_fall = delta is not None and delta.startswith("−")
            st.metric(
                label, figure, delta if is_compared else None, delta_color="off", border=True,
                delta_arrow="down" if is_fall else "off" if delta in ("+0.0%", None) else "up",
                help=". ".join(filter(None, (detail, comparison))),
            )  # fmt: skip
    if now.unknown.calls:
        _show_unknown(choice, view, now.unknown)


def _describe_spend(view: View, sums: Sums) -> str:
    """Return the billed cost in full, and the effective cost where commitments covered some of it."""
    text = exact(sums.priced_spend, view.currency)
    if sums.effective == sums.spend:
        return text
    effective = exact(sums.effective, view.currency)
    return f"{text} billed; {effective} effective cost, with what commitments covered at their own rates"


def _show_unknown(choice: Choice, view: View, unknown: Unknown) -> None:
    """Say what spend does not include, with links to the calls."""
    tokens = f" ({quantify(unknown.tokens, 'token')} told)" if unknown.tokens else ""
    amount = with_hint(describe_bound(unknown, view.currency), describe_bound(unknown, view.currency, is_exact=True))
    calls_link = link("Show the calls", "overview", choice.to_parameters() | {"calls": "cost not known"})
    models_link = Html(f'<a href="{find_page("trust").link}#unknown">By model</a>')
    text = f"<b>Not in spend:</b> {describe_calls(unknown)}{tokens}: {amount}. {calls_link} · {models_link}"
    st.html(f'<div class="tally unknown">{text}</div>')


def _show_no_calls(choice: Choice, view: View, before: Sums, data: periods.Span) -> None:
    period_text = periods.format_span(data)
    if before.calls and view.period.before:
        st.caption(
            f"{money(before.priced_spend, view.currency)} and {quantify(before.calls, 'call')} in the period before, "
            f"{periods.format_span(view.period.before)}."
        )
    if choice.filters:
        st.info("No calls match these filters in this period.")
        unlimited_link = link("All time with these filters", "overview", choice.to_parameters() | {"period": "all"})
        unfiltered = choice._replace(filters={}).to_parameters()
        unfiltered_link = link("Same period without filters", "overview", unfiltered)
        st.html(f'<div class="tally">{unfiltered_link}{f" · {unlimited_link}" * (choice.period != "all")}</div>')
        return
    st.info(f"No calls in this period. The ledger has calls from {period_text}.")
    st.html(f'<div class="tally">{link(f"Show {period_text}", "overview", {"period": "all"})}</div>')


def _show_groups(choice: Choice, view: View, groups: Sequence[Group], totals: Sums) -> None:
    has_spend = bool(totals.spend)
    rows = []
    for group in groups:
        now, before = group.now, group.before
        share = percent(now.spend, totals.spend) if has_spend else percent(now.tokens, totals.tokens)
        rate = per_million(now.effective, now.effective_tokens)
        rows.append(
            (
                link(
                    named(group.name),
                    "overview",
                    choice.to_parameters() | {view.dimension: spell(group.name), "by": view.dimension},
                ),
                _build_spend_cell(now, view),
                bar(share),
                with_hint(short(now.tokens), count(now.tokens)),
                count(now.calls),
                money(rate, view.currency) if rate is not None else None,
                _format_change(now, before) if view.period.before else None,
            )
        )
    columns = [
        Column(view.dimension.capitalize()),
        Column("Spend", "right"),
        Column("Share of spend" if has_spend else "Share of tokens", "right"),
        Column("Tokens", "right"),
        Column("Calls", "right"),
        Column("Cost per 1M tokens", "right wide"),
        Column("Change", "right wide"),
    ]
    draw_table(columns, rows)


def _build_spend_cell(sums: Sums, view: View) -> Html:
    """Return the spend of a group; a mark and its hint tell what it does not include."""
    text, hint = money(sums.priced_spend, view.currency), exact(sums.priced_spend, view.currency)
    if not sums.unknown.calls:
        return with_hint(text, hint)
    missing = f"{describe_calls(sums.unknown)}: {describe_bound(sums.unknown, view.currency)}"
    return with_hint(f"{text} +", f"{hint}; not included: {missing}")


def _format_change(now: Sums, before: Sums) -> str | None:
    return change(now.spend, before.spend) or change(now.tokens, before.tokens)


def _show_moves(choice: Choice, view: View, groups: Groups) -> None:
    rows = []
    for group in groups.moves:
        delta = group.now.spend - group.before.spend
        text = f"{'+' if delta > 0 else ''}{money(delta, view.currency)}"
        now, before = exact(group.now.spend, view.currency), exact(group.before.spend, view.currency)
        parameters = choice.to_parameters() | {view.dimension: spell(group.name), "by": view.dimension}
        rows.append((
            link(named(group.name), "overview", parameters),
            move(text, f"from {before} to {now}", percent(abs(delta), groups.greatest_move), is_rise=delta > 0),
        ))  # fmt: skip
    draw_table([Column(view.dimension.capitalize()), Column("Change in spend", "right")], rows)
