"""Start here: how the first event is sent, with a token from a button, and whether it has arrived."""

import streamlit as st

from dashboards import empty, sending
from dashboards.connection import guarded


@guarded
def page() -> None:
    st.header("Start here", anchor=False)
    empty.notice(gives_way=False)
    sending.ways()
