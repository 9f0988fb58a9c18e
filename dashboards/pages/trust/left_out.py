"""The table of fields that were left out, by source."""

import streamlit as st

from dashboards.components.html import Column, add_narrow_line, draw_table, format_time, mono
from dashboards.pages.trust import queries
from tallystick.vocabulary.remedies import remedy_of


def draw_fields() -> None:
    """Draw the fields that did not fit, with the calls that lost them and what to do."""
    st.subheader("Fields left out", anchor="left-out")
    rows = queries.list_left_out_fields()
    if not rows:
        st.caption("Every field that a source sent fits.")
        return
    st.caption(
        "These fields did not fit and are not stored. Their calls are counted: a field never costs a call. Where it is "
        "a count of usage, the usage of the call is unknown."
    )
    columns = [
        Column("Source", "wide"), Column("Field", "wrap"), Column("Calls", "right"), Column("Newest call, UTC", "wide"),
        Column("What to do", "wrap"),
    ]  # fmt: skip
    draw_table(
        columns,
        (
            (
                row["source_name"],
                add_narrow_line(mono(row["field_name"]), row["source_name"]),
                int(row["all_calls"]),
                format_time(row["last_at"]),
                f"{remedy_of(row['field_name'])}.",
            )
            for row in rows
        ),
    )
