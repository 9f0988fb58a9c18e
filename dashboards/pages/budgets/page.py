"""Budgets: what each scope may spend over its window, what it has spent, how fast it goes, and what it crossed."""

from datetime import UTC, datetime

import streamlit as st

from dashboards.components import charts
from dashboards.components.controls import pick
from dashboards.components.format import count, exact, money
from dashboards.components.html import facts, heading, link, live, moment
from dashboards.components.links import Identity
from dashboards.pages.budgets import queries
from dashboards.pages.budgets import tables as limits
from dashboards.periods import Span, length
from dashboards.sources import usage
from dashboards.sources.warehouse import Row, guarded, guarded_part
from dashboards.spelling import spell

SHOW = ("all", "crossed")


@guarded
def page() -> None:
    asked = st.query_params
    if "scope" in asked:
        window = asked.get("window", "")
        window_s = int(window) if window.isdecimal() and window.isascii() and len(window) < 9 else 0
        chosen = Identity(asked.get("organization", ""), asked.get("dimension", ""), asked["scope"], window_s)
        st.fragment(guarded_part(_one), run_every=usage.pace())(chosen)
    else:
        st.fragment(guarded_part(_all), run_every=usage.pace())()


def _all() -> None:
    rows = queries.standing()
    if not rows:
        _none()
        return
    _headline(rows)
    show = pick("Show", SHOW, "budgets")
    shown = [row for row in rows if row["fired_percent"] or show == "all"]
    many = len({row["organization"] for row in rows}) > 1
    if shown:
        limits.standing(shown, many)
    else:
        st.caption("No threshold is crossed now.")
    if rows[0]["number"] > len(rows):
        st.caption(f"The fullest {len(rows)} of {count(rows[0]['number'])}.")
    _crossings(None, many)
    _live()


def _headline(rows: list[Row]) -> None:
    burning = [limits.burning_of(row) for row in rows]
    over = sum(row["remaining_amount"] <= 0 for row in rows)
    near = sum(limits.NEAR <= row["used_amount"] * 100 / row["limit_amount"] < 100 for row in rows)
    figures = [
        ("Budgets", int(rows[0]["number"]), "Each is a limit of spend over a rolling window"),
        ("At their limit", over, "What was spent over the window is the limit, or more"),
        ("Near it", near, f"{limits.NEAR}% of the limit is used, or more"),
        ("On the way", sum(one is not None and one.reached is not None for one in burning),
         "At the rate of the last tenth of the window they reach the limit"),
    ]  # fmt: skip
    with st.container(horizontal=True, key="headline"):
        for label, number, meaning in figures:
            st.metric(label, count(number), border=True, help=meaning)


def _one(chosen: Identity) -> None:
    row = queries.one(chosen)
    if row is None:
        st.info("There is no such budget. It may not have arrived yet, or the link was cut short.")
        st.html(f'<div class="tally">{link("All budgets", "budgets", {})}</div>')
        return
    currency, burning = row["currency"], limits.burning_of(row)
    heading(limits.name(row))
    with st.container(horizontal=True, key="headline"):
        for label, amount in (("Used", "used_amount"), ("Remaining", "remaining_amount"), ("Limit", "limit_amount")):
            st.metric(label, money(row[amount], currency), border=True, help=exact(row[amount], currency))
        if burning:
            st.metric(
                "Burn an hour", money(burning.per_hour, currency), border=True, help=exact(burning.per_hour, currency)
            )
    facts([
        ("Used of limit", limits.share(row)),
        ("At the last rate", limits.outlook(row, burning)),
        ("Crossed now", limits.fired(row) or "no threshold"),
    ])  # fmt: skip
    if row["window_ends_at"] is None:
        st.caption("Nothing was spent in this scope since the budget was set.")
    else:
        st.subheader("Spend over the window", anchor=False)
        window = Span(row["window_starts_at"], row["window_ends_at"])
        charts.by_bucket(row["spend_by_bucket"], window, int(row["bucket_s"]), currency)
    _details(row, chosen)
    _crossings(chosen, many=False)
    st.html(f'<div class="tally">{link("All budgets", "budgets", {})}{_calls(chosen)}</div>')
    _live()


def _details(row: Row, chosen: Identity) -> None:
    starts, ends, clock, last = (row[f"{name}_at"] for name in ("window_starts", "window_ends", "clock", "last_spent"))
    granularity = f"{length(int(row['bucket_s']))}; the oldest of 61, of which only a part lies in it, counts whole"
    with st.expander("The window, and its clock"):
        facts([
            ("Window", f"{starts:%Y-%m-%d %H:%M:%S} to {ends:%Y-%m-%d %H:%M:%S} UTC" if ends else None),
            ("In buckets of", granularity),
            ("The budget's clock", f"{clock:%Y-%m-%d %H:%M:%S} UTC" if clock else None),
            ("Latest spend", f"{last:%Y-%m-%d %H:%M:%S} UTC" if last else None),
            ("Allocated", moment(row["allocated_at"])),
            ("Limit since", moment(row["limit_set_at"])),
            ("Organization", chosen.organization),
        ])  # fmt: skip


def _crossings(chosen: Identity | None, many: bool) -> None:
    st.subheader("Crossings", anchor="crossings")
    rows = queries.crossings(chosen)
    if rows:
        limits.crossings(rows, many, of_one=chosen is not None)
    else:
        st.caption("No threshold was crossed yet.")


def _calls(chosen: Identity) -> str:
    if chosen.dimension not in usage.DIMENSIONS:
        return ""
    return " · " + link(
        "Its spend on the overview", "./", {"period": "all", chosen.dimension: spell(chosen.scope_value)}
    )


def _none() -> None:
    st.header("No budgets yet", anchor=False)
    st.write(
        "A budget limits what a scope may spend over a rolling window. Each crossing of 50, 80 and 100% is said here, "
        "within seconds."
    )
    st.code('tally budget set --scope team=search --limit 100 --window 1h --reason "launch week"', language="bash")


def _live() -> None:
    live(f"Live, {datetime.now(UTC):%H:%M:%S} UTC")
