"""The table of fields that were left out, by source."""

from dashboards.components import pager
from dashboards.components.html import Column, add_narrow_line, draw_table, format_time, mono
from dashboards.pages.trust import queries
from dashboards.sources.warehouse import Row
from tallystick.vocabulary.remedies import remedy_of


def draw_fields() -> None:
    """Draw the fields that did not fit, with the calls that lost them and what to do."""
    pager.show_table(
        "left-out", "Fields left out", queries.list_left_out_fields, _draw_rows, "Every field that a source sent fits.",
        "These fields did not fit and are not stored. Their calls are counted: a field never costs a call. Where it is "
        "a count of usage, the usage of the call is unknown.",
    )  # fmt: skip


def _draw_rows(rows: list[Row]) -> None:
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
