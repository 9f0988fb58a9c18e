"""The page Start here: how to send the first event, with a token from a button, and its arrival."""

import streamlit as st

from dashboards.components import empty_ledger, send_events
from dashboards.sources.warehouse import guard_page


@guard_page
def page() -> None:
    st.header("Start here", anchor=False)
    empty_ledger.show_newest_arrival(reloads_page=False)
    send_events.show_ways()
