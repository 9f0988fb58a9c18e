"""Trust: does everything that came in show up, how late, at what price, and when was that last proved."""

import time
from datetime import UTC, datetime
from typing import Any

import streamlit as st

from audit import sequence_gaps
from dashboards.components import empty_ledger
from dashboards.components.format import count, percent
from dashboards.components.html import Column, Html, equation, link, live, moment, mono, named, table
from dashboards.pages.trust import decisions, queries
from dashboards.pages.trust.queries import Counts
from dashboards.sources import log, usage
from dashboards.sources.warehouse import Row, guarded, guarded_part, home
from dashboards.spelling import spell

PATIENCE_S = 10
SHOWN = 50
RANGES = 12


@guarded
def page() -> None:
    if not queries.by("channel") and usage.extent() is None:
        empty_ledger.show()
    else:
        _live()


@st.fragment(run_every=2)
@guarded_part
def _live() -> None:
    doors = _settled(queries.by("channel"))
    counts = queries.whole(doors)
    st.header("Does it add up?", anchor=False)
    equation(("received", counts["received"]), [(name, counts[name]) for name in ("accepted", "rejected")])
    outcomes = ("counted", "duplicate", "conflict", "quarantined")
    equation(("accepted", counts["accepted"]), [(name, counts[name]) for name in outcomes])
    organizations = queries.by("organization")
    if len(organizations) > 1:
        _by("organization", organizations)
    _by("channel", doors)
    left, right = st.columns(2, gap="large")
    with left:
        _verification()
    with right:
        _lag()
    _gaps()
    _unpriced()
    _doubtful("conflict", "Conflicts", "Same identity, other content: shown, and not counted.")
    _doubtful("quarantined", "Quarantined", "Accepted, and kept out of the ledger for a reason.")
    decisions.alerts()
    decisions.thresholds()
    decisions.controls()
    live(f"Live, {datetime.now(UTC):%H:%M:%S} UTC")


def _settled(rows: list[Counts]) -> list[Counts]:
    """The newest counts that add up: an insert reaches one table a moment before the other. Counts that do not
    add up for ``PATIENCE_S`` are shown as they are."""
    held = st.session_state
    if queries.adds_up(queries.whole(rows)):
        held.settled, held.settled_at = rows, time.monotonic()
    elif time.monotonic() - held.get("settled_at", 0) > PATIENCE_S:
        return rows
    settled: list[Counts] = held.settled
    return settled


def _by(dimension: str, rows: list[Counts]) -> None:
    columns = [
        Column(dimension.capitalize()),
        *(Column(name.capitalize(), "right") for name in queries.COUNTS),
    ]
    table(columns, ((named(name), *(counts[one] for one in queries.COUNTS)) for name, counts in rows[:SHOWN]))


def _verification() -> None:
    st.subheader("Last verification", anchor="verification")
    said = log.consumer("verify")
    if said is None:
        st.info("This ledger has not been verified yet.")
    elif said.get("difference") is None:
        counted = said.get("events", {}).get("counted", 0)
        st.success(
            f"{_when(said)}: no difference between log, topic and warehouse, over {count(counted)} counted events.",
            icon=":material/check_circle:",
        )
    else:
        st.error(f"{_when(said)}: log, topic and warehouse differ. The first difference:", icon=":material/error:")
        st.json(said["difference"])
    st.caption("It recomputes every figure from the log, with code of its own, and compares:")
    st.code("tally verify", language="bash")


def _when(said: dict[str, Any]) -> str:
    return f"{datetime.fromisoformat(said['at']).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _lag() -> None:
    st.subheader("How far behind", anchor="lag")
    stored = queries.stored()
    reaches = log.reaches()
    if not reaches:
        st.caption("The log is not in this home, so its end is not known here.")
        return
    recorded = sum(reach.recorded for reach in reaches)
    folded = sum(reach.folded for reach in reaches)
    kept = sum(min(stored.get(reach.partition, 0), reach.recorded) for reach in reaches)
    with st.container(horizontal=True):
        st.metric("Not yet folded", count(recorded - folded), border=True, help="Records on tally.events")
        st.metric(
            "Not yet stored",
            count(recorded - kept),
            border=True,
            help="Records whose entries are on their way",
        )
    newest = datetime.fromtimestamp(max(reach.last_ms for reach in reaches) / 1000, UTC)
    st.caption(f"The newest of {count(recorded)} records was appended {newest:%Y-%m-%d %H:%M:%S} UTC.")
    with st.expander("By partition"):
        columns = [Column("Partition"), *(Column(name, "right") for name in ("Recorded", "Folded", "Stored"))]
        table(
            columns,
            ((str(one.partition), one.recorded, one.folded, stored.get(one.partition, 0)) for one in reaches),
        )


def _gaps() -> None:
    st.subheader("Numbered, and never arrived", anchor="gaps")
    found = sequence_gaps.listed(home(), SHOWN)
    if found is None:
        st.caption("Nobody has followed the numbers of sources yet: `tally metrics serve` does, a part of `tally up`.")
        return
    if not found:
        st.caption("Of what sources numbered nothing lacks.")
        return
    st.caption(
        "Numbers between the first and the last of a source that are not on the log: lost on their way, still in a "
        "client's spool, or refused at the door. One that arrives late is gone from here."
    )
    columns = [
        Column("Organization"), Column("Source", "wide"), Column("Missing", "right"), Column("Numbers", "wrap"),
        Column("Of", "right"),
    ]  # fmt: skip
    table(
        columns,
        (
            (one.organization, one.source, one.numbers.missing, _ranges(one.numbers), f"{one.numbers.last:,}")
            for one in found
        ),
    )


def _ranges(numbers: sequence_gaps.Numbered) -> str:
    shown = [str(first) if first == last else f"{first}–{last}" for first, last in numbers.lacking[-RANGES:]]
    more = len(numbers.lacking) - len(shown)
    return (f"{more:,} ranges before, " if more else "") + ", ".join(shown)


def _unpriced() -> None:
    st.subheader("Unpriced", anchor="unpriced")
    rows = queries.unpriced()
    if not rows:
        st.caption("Every token has a price.")
        return
    st.caption(
        "Unpriced is not free: these tokens are counted, and missing from spend. `tally price adopt` adds a price."
    )
    columns = [
        Column("Model"), Column("Provider"), Column("Newest call, UTC", "wide"),
        Column("Tokens without a price", "right"), Column("Of its tokens", "right"),
    ]  # fmt: skip
    table(
        columns,
        (
            (
                link(
                    named(row["model"] or ""),
                    "./",
                    {"period": "all", "model": spell(row["model"] or "")},
                ),
                named(row["provider"] or ""),
                moment(row["last_at"]),
                int(row["lacking"]),
                f"{percent(row['lacking'], row['of_all'])}%",
            )
            for row in rows
        ),
    )


def _doubtful(outcome: str, title: str, meaning: str) -> None:
    rows = queries.newest(outcome)
    st.subheader(title, anchor=outcome)
    if not rows:
        st.caption("None.")
        return
    st.caption(meaning)
    columns = [
        Column("Accepted, UTC"),
        Column("Reason"),
        Column("Source", "wide"),
        Column("Id", "wide"),
        Column("Detail", "wrap"),
    ]
    table(
        columns,
        (
            (
                link(moment(row["accepted_at"]), "call", {"position": _position(row)}),
                row["reason"] or None,
                row["event_source"] or None,
                mono(row["event_id"]) if row["event_id"] else None,
                _detail(row),
            )
            for row in rows
        ),
    )


def _detail(row: Row) -> str | Html | None:
    if row["outcome"] == "conflict":
        first = f"{row['log_partition']}-{row['first_offset']}-{row['first_index']}"
        return Html(f"first at {link(first, 'call', {'position': first})}")
    return row["detail"] or None


def _position(row: Row) -> str:
    return f"{row['log_partition']}-{row['log_offset']}-{row['event_index']}"
