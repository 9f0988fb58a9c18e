"""What a page says while the ledger holds nothing yet: how the first event comes in, and that it has."""

import streamlit as st

from dashboards.components import send_events
from dashboards.components.html import draw_facts, link, draw_live_line, format_time
from dashboards.sources import arrivals
from dashboards.sources.usage import find_extent
from dashboards.sources.warehouse import guard_fragment


def show() -> None:
    """Say how the first event comes in, and give way to the page as soon as it is counted. While a token is shown,
    only a click takes it away."""
    st.header("The ledger is empty", anchor=False)
    st.write("Nothing has been counted yet. This page fills by itself, within seconds of the first event.")
    show_newest_arrival(reloads_page=True)
    send_events.show_ways()


@st.fragment(run_every=2)
@guard_fragment
def show_newest_arrival(reloads_page: bool) -> None:
    """Say what came in last, and what became of it."""
    if reloads_page and "made_a_token" not in st.session_state and find_extent() is not None:
        st.rerun()
    row = arrivals.find_newest()
    if row is None:
        if rejected_count := arrivals.count_rejected():
            st.warning(f"Refused so far: {rejected_count:,}. The answer to each request says why; nothing was accepted yet.")
        draw_live_line("Waiting for the first event")
        return
    is_counted = row["outcome"] == "counted"
    if is_counted:
        st.success("Events arrive. The newest of them is counted.", icon=":material/check_circle:")
    else:
        st.warning(f"Events arrive. The newest of them is not counted, it is: {row['outcome']}.")
    position = f"{row['log_partition']}-{row['log_offset']}-{row['event_index']}"
    draw_facts([
        ("Accepted, UTC", format_time(row["accepted_at"])),
        ("Organization", row["organization"]),
        ("Event", link(f"{row['event_source']} {row['event_id']}".strip() or position, "call", {"position": position})),
        ("Reason", " ".join(filter(None, (row["reason"], row["detail"])))),
    ])  # fmt: skip
    st.html(f'<div class="tally">{link("To the overview", "./", {})}</div>')
