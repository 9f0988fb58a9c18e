"""The page Trust: completeness, lag, missing sequence numbers, usage of unknown cost, and the last verification."""

import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import streamlit as st

from audit import sequence_gaps
from dashboards.components import empty_ledger, pager
from dashboards.components.format import count, quantify
from dashboards.components.html import (
    Cell,
    Column,
    Html,
    add_narrow_line,
    draw_equation,
    draw_live_line,
    draw_table,
    format_time,
    link,
    mono,
    named,
    with_hint,
)
from dashboards.components.unknown_usage import describe_bounds, describe_calls
from dashboards.pages.trust import decisions, left_out, queries
from dashboards.pages.trust.queries import Counts
from dashboards.sources import log, usage
from dashboards.sources.usage import Unknown
from dashboards.sources.versions import read_position
from dashboards.sources.warehouse import Row, guard_fragment, guard_page, home
from dashboards.sources.withdrawals import Withdrawal, find_withdrawals
from dashboards.spelling import ABSENT_NAME, spell
from ledger.outcomes import HELD, OUTCOMES

SETTLE_TIMEOUT_S = 10
MAX_EVENTS = 10
MAX_GAPS = 10_000
MAX_RANGES = 12
NARROW_COUNTS = ("received", "accepted", "counted")
"""The counts that have a column on narrow screens."""
WITHDRAWALS = {
    "reversal": "taken back",
    "replacement": "replaced",
    "revision": "revised",
    "acceptance": "replaced",
}
"""What happened to an event while it was held, so that it is not counted when its time comes."""


@guard_page
def page() -> None:
    if not queries.sum_counts_by("channel") and usage.find_extent() is None:
        empty_ledger.show()
    else:
        _show_figures()


@st.fragment(run_every=2)
@guard_fragment
def _show_figures() -> None:
    channels = _settle_counts(queries.sum_counts_by("channel"))
    counts = queries.add_counts(channels)
    st.header("Completeness", anchor=False)
    draw_equation(("received", counts["received"]), [(name, counts[name]) for name in ("accepted", "rejected")])
    draw_equation(("accepted", counts["accepted"]), [(name, counts[name]) for name in OUTCOMES])
    organizations = queries.sum_counts_by("organization")
    if len(organizations) > 1:
        _show_counts("organization", organizations)
    _show_counts("channel", channels)
    verification_column, lag_column = st.columns(2, gap="large")
    with verification_column:
        _show_verification()
    with lag_column:
        _show_lag()
    _show_gaps()
    _show_unknown()
    left_out.draw_fields()
    _show_events("conflict", "Conflicts", "Same identity with other content: shown, not counted.")
    _show_events("quarantined", "Quarantined", "Accepted, but kept out of the ledger, each for a reason.")
    _show_events(
        "held",
        "Held",
        "Their time lies ahead of the log's, so a clock is fast. Each is counted when its time comes, unless it was "
        "taken out of the ledger before: nothing is lost. `tally correct SOURCE/ID --release` counts one now.",
    )
    decisions.draw_alerts()
    decisions.draw_thresholds()
    decisions.draw_controls()
    draw_live_line()


def _settle_counts(rows: list[Counts]) -> list[Counts]:
    """Return the newest counts that add up: an insert reaches one table a moment before the other. Counts that do not
    add up for ``SETTLE_TIMEOUT_S`` are shown as they are."""
    session = st.session_state
    if queries.adds_up(queries.add_counts(rows)):
        session.settled_counts, session.settled_at = rows, time.monotonic()
    elif time.monotonic() - session.get("settled_at", 0) > SETTLE_TIMEOUT_S:
        return rows
    counts: list[Counts] = session.settled_counts
    return counts


def _show_counts(dimension: str, rows: list[Counts]) -> None:
    columns = [
        Column(dimension.capitalize(), "wrap"),
        *(Column(name.capitalize(), "right" if name in NARROW_COUNTS else "right wide") for name in queries.COUNTS),
    ]
    selection = pager.read_slice(dimension)
    matches = [row for row in rows if selection.search.casefold() in (row[0] or ABSENT_NAME).casefold()]
    pager.draw_search(dimension, f"Search {dimension}s", selection, len(matches))
    draw_table(
        columns,
        (
            (
                add_narrow_line(named(name), _describe_other_counts(counts)),
                *(counts[measure] for measure in queries.COUNTS),
            )
            for name, counts in matches[selection.first : selection.last]
        ),
    )
    pager.draw_pages(dimension, selection, len(matches))


def _describe_other_counts(counts: dict[str, int]) -> str:
    """Describe the counts that narrow screens have no column for, without those of zero."""
    names = (name for name in queries.COUNTS if name not in NARROW_COUNTS and counts[name])
    return ", ".join(f"{count(counts[name])} {name}" for name in names)


def _show_verification() -> None:
    st.subheader("Last verification", anchor="verification")
    report = log.read_consumer("verify")
    if report is None:
        st.info("This ledger has not been verified yet.")
    elif report.get("difference") is None:
        counted_events = report.get("events", {}).get("counted", 0)
        st.success(
            f"{_format_report_time(report)}: no difference between log, derived topics and warehouse, over"
            f" {count(counted_events)} counted events.",
            icon=":material/check_circle:",
        )
    else:
        st.error(
            f"{_format_report_time(report)}: log, derived topics and warehouse differ. The first difference:",
            icon=":material/error:",
        )
        st.json(report["difference"])
    st.caption("To verify, recompute every figure from the log with independent code and compare:")
    st.code("tally verify", language="bash")


def _format_report_time(report: dict[str, Any]) -> str:
    return f"{datetime.fromisoformat(report['at']).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _show_lag() -> None:
    st.subheader("Lag", anchor="lag")
    stored_counts = queries.count_stored_records()
    partitions = log.list_progress()
    if not partitions:
        st.caption("The log is not in this home, so the lag is unknown here.")
        return
    recorded = sum(progress.recorded for progress in partitions)
    folded = sum(progress.folded for progress in partitions)
    stored_total = sum(min(stored_counts.get(progress.partition, 0), progress.recorded) for progress in partitions)
    with st.container(horizontal=True):
        st.metric(
            "Fold lag",
            count(recorded - folded),
            border=True,
            help="Records on tally.events that the folds have still to process",
        )
        st.metric(
            "Sink lag",
            count(recorded - stored_total),
            border=True,
            help="Records whose derived lines are not yet in the warehouse",
        )
    newest = datetime.fromtimestamp(max(progress.last_ms for progress in partitions) / 1000, UTC)
    st.caption(f"{quantify(recorded, 'record')} on the log, the newest appended {newest:%Y-%m-%d %H:%M:%S} UTC.")
    with st.expander("By partition"):
        columns = [Column("Partition"), *(Column(name, "right") for name in ("Recorded", "Folded", "Stored"))]
        draw_table(
            columns,
            (
                (str(progress.partition), progress.recorded, progress.folded, stored_counts.get(progress.partition, 0))
                for progress in partitions
            ),
        )


def _show_gaps() -> None:
    st.subheader("Missing sequence numbers", anchor="gaps")
    gaps = sequence_gaps.list_gaps(home(), MAX_GAPS)
    if gaps is None:
        st.caption(
            "Sequence numbers have not been checked yet. `tally metrics serve` checks them; `tally up` starts it."
        )
        return
    if not gaps:
        st.caption("No gaps in the sequence numbers.")
        return
    st.caption(
        "Sequence numbers between a source's first and last that are not on the log: lost in transit, still in a "
        "client's spool, or rejected by the intake. A number that arrives late disappears from this list."
    )
    columns = [
        Column("Organization"), Column("Source", "wide"), Column("Missing", "right"), Column("Numbers", "wrap"),
        Column("Last number", "right"),
    ]  # fmt: skip
    selection = pager.read_slice("gaps")
    text = selection.search.casefold()
    matches = [gap for gap in gaps if text in f"{gap.organization} {gap.source}".casefold()]
    pager.draw_search("gaps", "Search sources", selection, len(matches))
    draw_table(
        columns,
        (
            (
                gap.organization,
                gap.source,
                gap.sequence.missing_count,
                _format_ranges(gap.sequence),
                f"{gap.sequence.last:,}",
            )
            for gap in matches[selection.first : selection.last]
        ),
    )
    pager.draw_pages("gaps", selection, len(matches))


def _format_ranges(numbers: sequence_gaps.SourceSequence) -> str:
    ranges = [
        str(first) if first == last else f"{first}–{last}" for first, last in numbers.missing_ranges[-MAX_RANGES:]
    ]
    omitted_count = len(numbers.missing_ranges) - len(ranges)
    return (f"{omitted_count:,} earlier ranges, " if omitted_count else "") + ", ".join(ranges)


def _show_unknown() -> None:
    pager.show_table(
        "unknown", "Cost not known", queries.list_unknown_usage, _draw_unknown_rows,
        "Every call is priced, or used nothing.",
        "Unknown is not free: these calls have a cost that no total includes, of at most the amount shown. Without "
        "usage: the source did not tell it, or it could not be read. Without a price: `tally price adopt` adds one. In "
        "quarantine: kept out for the reason that is shown below.",
    )  # fmt: skip


def _draw_unknown_rows(rows: list[Row]) -> None:
    columns = [
        Column("Model", "wrap"), Column("Provider", "wide"), Column("Newest call, UTC", "wide"),
        Column("Without usage", "right wide"), Column("Without a price", "right wide"),
        Column("In quarantine", "right wide"), Column("Tokens", "right wide"), Column("Costs at most", "right"),
    ]  # fmt: skip
    draw_table(columns, map(_build_unknown_cells, rows))


def _build_unknown_cells(row: Row) -> tuple[Cell, ...]:
    model, bounds = row["model"] or "", sorted(row["bounds"]) or [("", Decimal(0))]
    unknown = Unknown(
        row["without_usage"], row["without_price"], row["in_quarantine"], row["tokens_told"], Decimal(0),
        row["without_bound"],
    )  # fmt: skip
    parameters = {"period": "all", "model": spell(model), "calls": "cost not known"}
    return (
        add_narrow_line(link(named(model), "overview", parameters), describe_calls(unknown)),
        Html(", ".join(named(provider) for provider in sorted(row["provider_names"]))),
        format_time(row["last_at"]),
        unknown.unknown_calls,
        unknown.unpriced_calls,
        unknown.quarantined_calls,
        unknown.tokens or None,
        with_hint(
            describe_bounds(unknown, bounds).removeprefix("at most "), describe_bounds(unknown, bounds, is_exact=True)
        ),
    )


def _show_events(outcome: str, title: str, meaning: str) -> None:
    pager.show_table(
        outcome, title, lambda rows: queries.list_newest_events(outcome, rows), _draw_event_rows, "None.", meaning,
        MAX_EVENTS,
    )  # fmt: skip


def _draw_event_rows(rows: list[Row]) -> None:
    withdrawals = find_withdrawals(rows) if rows[0]["outcome"] == HELD else {}
    columns = [
        Column("Accepted, UTC"),
        Column("Reason"),
        Column("Source", "wide"),
        Column("Id", "wide"),
        Column("Detail", "wrap"),
    ]
    draw_table(
        columns,
        (
            (
                link(format_time(row["accepted_at"]), "call", {"position": _format_position(row)}),
                row["reason"] or None,
                row["event_source"] or None,
                mono(row["event_id"]) if row["event_id"] else None,
                _describe_event(row, withdrawals.get(read_position(row))),
            )
            for row in rows
        ),
    )


def _describe_event(row: Row, withdrawal: Withdrawal | None) -> str | Html | None:
    if withdrawal is not None:
        position = "-".join(map(str, withdrawal.position))
        return Html(f"{WITHDRAWALS[withdrawal.cause]} by {link(position, 'call', {'position': position})}: not counted")
    if row["outcome"] == "conflict":
        first = f"{row['log_partition']}-{row['first_offset']}-{row['first_index']}"
        return Html(f"first at {link(first, 'call', {'position': first})}")
    if row["outcome"] == "held":
        return f"held until {row['occurred_at'] - timedelta(seconds=300):%Y-%m-%d %H:%M:%S} UTC"
    return row["detail"] or None


def _format_position(row: Row) -> str:
    return f"{row['log_partition']}-{row['log_offset']}-{row['event_index']}"
