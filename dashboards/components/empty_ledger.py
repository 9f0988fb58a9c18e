"""What a page says while the ledger holds nothing yet: how the first event comes in, and that it has."""

import streamlit as st

from dashboards.components import send_events
from dashboards.components.html import facts, link, live, moment
from dashboards.sources import arrivals
from dashboards.sources.usage import extent
from dashboards.sources.warehouse import guarded_part


def show() -> None:
    """Say how the first event comes in, and give way to the page as soon as it is counted. While a token is shown,
    only a click takes it away."""
    st.header("The ledger is empty", anchor=False)
    st.write("Nothing has been counted yet. This page fills by itself, within seconds of the first event.")
    notice(gives_way=True)
    send_events.ways()


@st.fragment(run_every=2)
@guarded_part
def notice(gives_way: bool) -> None:
    """Say what came in last, and what became of it."""
    if gives_way and "made_a_token" not in st.session_state and extent() is not None:
        st.rerun()
    row = arrivals.newest()
    if row is None:
        if refused := arrivals.refused():
            st.warning(f"Refused so far: {refused:,}. The answer to each request says why; nothing was accepted yet.")
        live("Waiting for the first event")
        return
    counted = row["outcome"] == "counted"
    if counted:
        st.success("Events arrive. The newest of them is counted.", icon=":material/check_circle:")
    else:
        st.warning(f"Events arrive. The newest of them is not counted, it is: {row['outcome']}.")
    position = f"{row['log_partition']}-{row['log_offset']}-{row['event_index']}"
    facts([
        ("Accepted, UTC", moment(row["accepted_at"])),
        ("Organization", row["organization"]),
        ("Event", link(f"{row['event_source']} {row['event_id']}".strip() or position, "call", {"position": position})),
        ("Reason", " ".join(filter(None, (row["reason"], row["detail"])))),
    ])  # fmt: skip
    st.html(f'<div class="tally">{link("To the overview", "./", {})}</div>')
