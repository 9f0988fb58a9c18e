"""What a page says while the ledger holds nothing yet."""

import streamlit as st

from dashboards.usage import extent


def show() -> None:
    """Say how the first data comes in, and show it as soon as it does."""
    st.header("The ledger is empty", anchor=False)
    st.write(
        "Nothing has been counted yet. This page fills by itself as soon as the first calls arrive, "
        "within seconds of their being recorded."
    )
    st.subheader("Import a trace or events you have", anchor=False)
    st.code("tally import FILE --set model=gpt-4o --set team=search", language="bash")
    st.write(
        "It reads the Azure LLM inference trace (CSV), the Mooncake trace (JSONL), and CloudEvents of our own "
        "as NDJSON; `tally import --help` says more."
    )
    st.subheader("Or look at a made-up organization first", anchor=False)
    st.code("tally demo", language="bash")
    _wait()


@st.fragment(run_every=2)
def _wait() -> None:
    if extent() is not None:
        st.rerun()
