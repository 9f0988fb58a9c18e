"""A grant: whose it is, what it allows, the limits on its path, the grants below it, and who was refused by it."""

from shlex import quote

import streamlit as st

from dashboards.components import charts, pager
from dashboards.components.controls import pick, read_pick
from dashboards.components.format import quantify
from dashboards.components.html import (
    Html,
    draw_facts,
    draw_heading,
    draw_legend,
    draw_live_line,
    draw_note,
    escape_text,
    format_time,
    link,
    mark,
)
from dashboards.pages.budgets import queries, tables
from dashboards.periods import Span, format_window
from dashboards.sources.warehouse import Row


def show(organization: str, name: str) -> None:
    """Show a grant by its organization and name."""
    row = queries.find_grant(organization, name)
    if row is None:
        st.info("No such grant. It may not have arrived yet, or the link is incomplete.")
        st.html(f'<div class="tally">{link("All grants", "budgets", {})}</div>')
        return
    path = list(row["path"])
    limits = queries.list_limits(organization, path)
    limits.sort(key=lambda limit: -path.index(limit["grant_name"]))
    draw_heading(f"{name}: {row['dimension']} {row['scope_value']}")
    _show_facts(row)
    st.subheader("Limits that hold", anchor=False)
    if limits:
        tables.draw_limits(limits, name)
        draw_legend([Html(look) for look, _ in tables.PARTS], [colour for _, colour in tables.PARTS])
        _show_moment(row, limits)
        _show_series([limit for limit in limits if limit["grant_name"] == name])
    else:
        st.caption("Neither it nor a grant above it has a limit.")
    pager.show_table(
        "below", "Grants below it", lambda rows: queries.list_children(organization, name, rows),
        tables.draw_children, "No grant lies below it.",
    )  # fmt: skip
    period = read_pick(tuple(queries.PERIODS), "refused_in")
    pager.show_table(
        "refusals", "Refused by it",
        lambda rows: queries.list_refusals(queries.PERIODS[period], rows, (organization, name)),
        lambda rows: tables.draw_refusals(rows, with_organization=False), f"It refused nobody in {period}.",
    )  # fmt: skip
    pick("Period", tuple(queries.PERIODS), "refused_in")
    _show_commands(row, limits)
    st.html(f'<div class="tally">{link("All grants", "budgets", {})}</div>')
    draw_live_line()


def _show_facts(row: Row) -> None:
    organization, steps = row["organization"], list(row["path"])[:-1]
    above = Html(" › ".join(tables.link_grant(organization, step) for step in steps)) if steps else None
    state = row["state"]
    if row["stopped_by"]:
        state = Html(f"{escape_text(state)} with {tables.link_grant(organization, row['stopped_by'])}")
    elif state != "active":
        state = mark(state, "over" if state == "revoked" else "near")
    until = f" until {row['narrowed_until']:%Y-%m-%d %H:%M} UTC" if row["narrowings"] else ""
    draw_facts([
        ("State", state),
        ("Within", above),
        ("Allows", tables.describe_allow(row["allow"])),
        ("Narrowed", f"by {quantify(row['narrowings'], 'record')}{until}" if until else None),
        ("Starts, UTC", format_time(row["starts_at"])),
        ("Expires, UTC", format_time(row["expires_at"]) if row["expires_at"] else None),
        ("Revoked, UTC", format_time(row["revoked_at"]) if row["revoked_at"] else None),
        ("Delegable", "its holder may give parts of it on" if row["is_delegable"] else None),
        ("Granted by", row["granted_by"] or None),
        ("Reason", row["reason"] or None),
        ("Organization", organization),
    ])  # fmt: skip


def _show_moment(row: Row, limits: list[Row]) -> None:
    reported_at = min((limit["reported_at"] for limit in limits if limit["reported_at"]), default=None)
    reported = f" The oldest report of these limits is of {reported_at:%Y-%m-%d %H:%M:%S} UTC." if reported_at else ""
    draw_note(
        f"As of {row['as_of']:%Y-%m-%d %H:%M:%S} UTC, the log's time. A limit is reported within 15 seconds of a "
        f"change.{reported}"
    )


def _show_series(limits: list[Row]) -> None:
    """Draw what was used over the rolling windows in money of a grant, the first of them."""
    for limit in limits:
        if limit["window_s"] and limit["currency"] and any(limit["used_by_bucket"]):
            st.subheader("Used over the window", anchor=False)
            draw_note(f"{tables.describe_limit(limit)}, in steps of {format_window(int(limit['window_s']) // 60)}")
            window = Span(limit["window_ends_at"] - tables.read_window_length(limit), limit["window_ends_at"])
            charts.draw_buckets(limit["used_by_bucket"], window, int(limit["window_s"]) // 60, limit["currency"])
            return


def _show_commands(row: Row, limits: list[Row]) -> None:
    """Show the commands that change the grant."""
    own_limit = next((limit for limit in limits if limit["grant_name"] == row["grant_name"]), None)
    name = quote(row["grant_name"])
    lines = [f"tally grant show {name}"]
    if own_limit is not None:
        lines.append(
            tables.build_extend_command(row["grant_name"], own_limit["limit_key"], own_limit["limit_amount"] * 2)
        )
    lines.append(f"tally grant narrow {name} --pause")
    with st.expander("Commands"):
        st.code("\n".join(lines), language="bash")
