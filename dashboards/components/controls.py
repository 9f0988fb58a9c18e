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
