"""Start here: how the first event is sent, with a token from a button, and whether it has arrived."""

import streamlit as st

from dashboards.components import empty_ledger, send_events
from dashboards.sources.warehouse import guarded


@guarded
def page() -> None:
    st.header("Start here", anchor=False)
    empty_ledger.notice(gives_way=False)
    send_events.ways()
