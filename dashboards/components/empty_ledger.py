"""The content of every page while the ledger is empty: how to send the first event, and its arrival."""

import streamlit as st

from dashboards.components import send_events
from dashboards.components.html import draw_facts, draw_pulse, format_time, link
from dashboards.sources import arrivals
from dashboards.sources.usage import find_extent
from dashboards.sources.warehouse import guard_fragment


def show() -> None:
    """Show how to send the first event, and reload the page as soon as it is counted, unless a token is
    shown."""
    st.header("The ledger is empty", anchor=False)
    st.write("No events have been counted yet. Figures appear here within seconds of the first event.")
    show_newest_arrival(reloads_page=True)
    send_events.show_ways()


@st.fragment(run_every=2)
@guard_fragment
def show_newest_arrival(reloads_page: bool) -> None:
    """Show the newest event and its outcome. ``reloads_page``: draw the page anew when the ledger has a first call."""
    if reloads_page and "made_a_token" not in st.session_state and find_extent() is not None:
        st.rerun()
    row = arrivals.find_newest()
    if row is None:
        if rejected_count := arrivals.count_rejected():
            st.warning(
                f"{rejected_count:,} events rejected so far, none accepted. The response to each request gives the "
                "reason."
            )
        draw_pulse("Waiting for the first event")
        return
    is_counted = row["outcome"] == "counted"
    if is_counted:
        st.success("Events are arriving. The newest one is counted.", icon=":material/check_circle:")
    else:
        st.warning(f"Events are arriving. The newest one is not counted; its outcome: {row['outcome']}.")
    position = f"{row['log_partition']}-{row['log_offset']}-{row['event_index']}"
    draw_facts([
        ("Accepted, UTC", format_time(row["accepted_at"])),
        ("Organization", row["organization"]),
        ("Event", link(f"{row['event_source']} {row['event_id']}".strip() or position, "call", {"position": position})),
        ("Reason", " ".join(filter(None, (row["reason"], row["detail"])))),
    ])  # fmt: skip
    st.html(f'<div class="tally">{link("Overview", "overview", {})}</div>')
