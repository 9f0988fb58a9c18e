"""The page Explore: usage by any two dimensions, against the period before, with the drivers of its change."""

from contextlib import nullcontext
from datetime import UTC, datetime
from decimal import Decimal

import streamlit as st

from dashboards import periods
from dashboards.components import empty_ledger, pager
from dashboards.components.format import money, quantify
from dashboards.components.html import draw_heading, draw_live_line, draw_note, link
from dashboards.pages.explore import answer, chart, controls, queries, tables
from dashboards.pages.explore.controls import Choice
from dashboards.pages.explore.dimensions import DIMENSIONS, find_dimension, list_dimensions
from dashboards.pages.explore.drivers import Drivers, Segment, compute_drivers
from dashboards.pages.explore.queries import Groups, View
from dashboards.sources import usage
from dashboards.sources.warehouse import guard_fragment, guard_page

MAX_MOVES = 8


@guard_page
def page() -> None:
    data = usage.find_extent()
    if data is None:
        empty_ledger.show()
        return
    choice = controls.choose(data)
    unknown = controls.find_unknown(choice)
    if unknown is not None:
        _show_unknown(choice, unknown)
        return
    view = choice.build_view(_resolve(choice, data))
    controls.draw_filters(choice, view)
    if view.source is None:
        _show_no_mart(view)
        return
    is_live = view.source.name == "hours"
    interval_s = usage.choose_poll_interval_s() if is_live else None
    st.fragment(guard_fragment(_show_figures), run_every=interval_s)(choice, is_live)


def _resolve(choice: Choice, data: periods.Span) -> periods.Period:
    return periods.resolve(choice.period, periods.read_clock(), data, choice.days, periods.find_zone(choice.zone))


def _show_unknown(choice: Choice, name: str) -> None:
    """Say that a link names a dimension that does not exist. Without it the view would count other usage."""
    st.info("This link names a dimension that does not exist. A tag is written `tag:KEY`.")
    names = [dimension.name for dimension in DIMENSIONS]
    draw_note(f"It names {name}. There are {answer.join(names, 'and')}.")
    filters = {name: values for name, values in choice.filters.items() if find_dimension(name)}
    dimensions = tuple(name for name in choice.dimensions if find_dimension(name)) or (names[0],)
    parameters = choice.build_link(filters=filters, dimensions=dimensions)
    st.html(f'<div class="tally">{link("The same view without it", "explore", parameters)}</div>')


def _show_no_mart(view: View) -> None:
    names = [answer.name_dimension(name) for name in dict.fromkeys((*view.dimensions, *view.filters))]
    st.info("No mart has all of this together. Take one of them out:")
    draw_note(answer.join([*names, f"the measure {view.measure_name}"], "and"))
    draw_note(f"The measure {view.measure_name} is known by {answer.join(list_dimensions(view.measure_name), 'and')}.")


def _show_figures(choice: Choice, is_live: bool) -> None:
    """Draw everything below the controls, as of one time, so that the figures agree."""
    data = usage.find_extent()
    if data is None:
        st.rerun()
    view = choice.build_view(_resolve(choice, data))
    rows, moves = pager.read_slice("groups"), pager.read_slice("moves", MAX_MOVES)
    draw_heading(answer.ask(view, choice.period))
    with st.spinner("Reading each call of the period …") if not is_live else nullcontext():
        groups = queries.read_groups(view, chart.MAX_GROUPS, rows, moves)
        if not groups.now.is_used:
            _show_no_usage(choice, view, groups, data)
            return
        segments = queries.list_segments(view) if view.period.before and groups.before.is_used else []
        drivers = compute_drivers(segments) if segments else None
        sentences = answer.answer(view, groups, drivers)
        st.html(f'<div class="tally answer">{answer.escape_sentences(sentences)}</div>')
        _show_not_included(view, groups)
        chart.draw(view, groups.top)
    if view.period.before is not None:
        _show_change(choice, view, groups, drivers, segments)
    title = answer.join((name.partition(":")[0] for name in view.dimensions), "and")  # read as Markdown: no tag's name
    pager.draw_title(f"By {title}", "groups", "Search groups", rows, groups.row_count)
    tables.draw_groups(choice, view, groups)
    pager.draw_pages("groups", rows, groups.row_count)
    name = view.measure_name[0].upper() + view.measure_name[1:]
    draw_note(f"{name}: {view.measure.meaning}. Currencies are never added up.")
    _show_source(view, is_live)


def _show_change(choice: Choice, view: View, groups: Groups, drivers: Drivers | None, segments: list[Segment]) -> None:
    """Draw the drivers of the change, and what moved most."""
    moves = pager.read_slice("moves", MAX_MOVES)
    driver_column, move_column = st.columns(2, gap="large")
    with driver_column:
        subject = "it" if view.measure.has_drivers or drivers is None else "billed cost"
        st.subheader(f"Why {subject} changed", anchor="drivers")
        if drivers is None:
            st.caption(
                "The period before has no calls to compare with."
                if queries.has_models(view)
                else "What was judged has no single model, so its change has no drivers."
            )
        else:
            before, now = (
                sum((getattr(segment, side) for segment in segments), Decimal(0)) for side in ("before", "now")
            )
            names = "models and token classes" if queries.is_by_class(view) else "models"
            tables.draw_drivers(drivers, before, now, view.currency, names)
    with move_column:
        pager.draw_title("What changed most", "moves", "Search changes", moves, groups.move_count)
        if not groups.move_count and not moves.search:
            st.caption("Nothing changed.")
        else:
            tables.draw_moves(choice, view, groups)
        pager.draw_pages("moves", moves, groups.move_count)


def _show_not_included(view: View, groups: Groups) -> None:
    number = groups.now.uncosted_calls
    if number and view.measure.kind == "money":
        text = f"{quantify(number, 'call')} whose cost is not known"
        calls_link = link("By model", "trust", {})
        st.html(f'<div class="tally unknown"><b>Not included:</b> {text}. {calls_link}</div>')


def _show_no_usage(choice: Choice, view: View, groups: Groups, data: periods.Span) -> None:
    span_text = periods.format_span(data, periods.find_zone(view.zone))
    if groups.before.is_used and view.period.before:
        earlier = money(groups.before.billed, view.currency)
        st.info(
            f"Nothing was used in this period. The one before had {quantify(groups.before.calls, 'call')}, {earlier}."
        )
    elif choice.filters:
        st.info("Nothing in this period matches these filters.")
    elif not queries.has_models(view):
        st.info("No work of this period was judged. Send observations, and the cost of a success appears here.")
    else:
        st.info(f"No calls in this period. The ledger has calls from {span_text}.")
    links = [link(f"Show {span_text}", "explore", choice.build_link(period="all"))] if choice.period != "all" else []
    if choice.filters:
        links.append(link("Same period without filters", "explore", choice.build_link(filters={})))
    st.html(f'<div class="tally">{" · ".join(links)}</div>')


def _show_source(view: View, is_live: bool) -> None:
    """Say which mart was read, and when."""
    span_text = periods.format_span(view.period.now, periods.find_zone(view.zone))
    if is_live:
        draw_live_line(f" · {span_text} · from sums by the hour")
        return
    mart = view.source.mart if view.source else ""
    draw_note(
        f"Read at {datetime.now(UTC):%H:%M:%S} UTC · {span_text} · from each call of the period ({mart}): no sums by "
        "the hour have all of this, so it takes longer with each call, and does not refresh itself."
    )
