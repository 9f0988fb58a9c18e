"""Controls for several pages."""

from collections.abc import Sequence

import streamlit as st


def pick(label: str, options: Sequence[str], key: str) -> str:
    """Show a choice of words, bound to the address, and return the selected one."""
    choice = st.segmented_control(
        label,
        options,
        key=key,
        default=options[0],
        required=True,
        label_visibility="collapsed",
        bind="query-params",
    )
    return choice or options[0]


def read_pick(options: Sequence[str], key: str) -> str:
    """Return the selected word of a choice that ``pick`` shows further below."""
    choice: str = st.session_state.get(key) or st.query_params.get(key) or options[0]
    return choice if choice in options else options[0]
