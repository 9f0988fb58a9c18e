"""Tables of the page Call: entries of a call, and events with the same identity."""

from collections.abc import Iterable
from itertools import groupby
from typing import Any

import streamlit as st

from dashboards.components.format import exact
from dashboards.components.html import (
    Cell,
    Column,
    Html,
    add_line,
    draw_facts,
    draw_note,
    draw_table,
    format_time,
    link,
    mono,
    with_hint,
)
from dashboards.pages.call import queries
from dashboards.sources.versions import read_position
from dashboards.sources.warehouse import Row
from ledger.log import Position

TIER_BASES = {
    "event": "by the input tokens of the call",
    "stated": "as the source states it",
    "mean": "by the input tokens per call of the aggregate",
    "assumed": "assumed to be the base: the source names neither the number of calls nor a tier",
}
"""What chose the tier of a tiered price."""
_COSTS = ("list_cost", "contracted_cost", "effective_cost", "billed_cost")


def draw_entries(calls: list[Row], call: Row, position: Position, *, is_cache_hit: bool) -> None:
    """Draw the entries of calls in the order in which they were written, their sum, which is that of the call in
    force, and the price of the entry in force."""
    st.subheader("Entries", anchor=False)
    rows = queries.list_entries(calls)
    if not rows:
        st.caption(f"{_describe_absence(call, is_cache_hit)}, so there are no entries.")
        return
    is_notional = call["payer"] == "customer"
    if is_notional:
        draw_note(
            "The customer's own key paid. List and contracted cost are notional: nothing of them is billed to you."
        )
    groups = [list(group) for _, group in groupby(rows, lambda row: (read_position(row), row["outcome"]))]
    is_amended = len(groups) > 1 or groups[0][0]["outcome"] != "counted"
    cells = [cell for group in groups for cell in _build_cells(group, position)]
    total = (Html(f"<b>{exact(call[name], call['currency'] or '')}</b>") for name in _COSTS)
    cells.append(("", Html("<b>Sum</b>"), None, None, *total))
    start = 0 if is_amended else 1
    draw_table(_build_columns(is_notional=is_notional, is_amended=is_amended)[start:], (row[start:] for row in cells))
    _draw_price([] if call["corrected_by"] else _find_entry_in_force(groups), call)


def _describe_absence(call: Row, is_cache_hit: bool) -> str:
    if is_cache_hit:
        return "A gateway's cache answered the call"
    return "The call used nothing" if call["pricing"] == "free" else "The usage of the call is not known"


def _build_columns(*, is_notional: bool, is_amended: bool) -> list[Column]:
    notional, price_look = ", notional" if is_notional else "", "right wide" if is_amended else "right"
    return [
        Column("Entry"), Column("Class"), Column("Quantity", "right"), Column("Unit price", price_look),
        Column(f"List cost{notional}", "right"), Column(f"Contracted cost{notional}", "right wide"),
        Column("Effective cost", "right wide"), Column("Billed cost", "right"),
    ]  # fmt: skip


def _build_cells(rows: list[Row], position: Position) -> Iterable[tuple[Cell, ...]]:
    """Build the rows of one entry; the first has its kind, its time, and a link to what wrote it."""
    for number, row in enumerate(rows):
        currency = row["currency"] or ""
        unit_price = with_hint(exact(row["unit_price"], currency), row["price_id"])
        costs = (exact(row[name], currency) for name in _COSTS)
        yield ("" if number else _link_entry(row, position), row["class"], int(row["quantity"]), unit_price, *costs)


def _link_entry(row: Row, position: Position) -> Html:
    place = read_position(row)
    kind = Html(row["outcome"])
    text = "-".join(map(str, place))
    name = kind if place == position else link(kind, "call", {"position": text}, text)
    return add_line(name, f"{row['accepted_at']:%Y-%m-%d %H:%M:%S} UTC")


def _find_entry_in_force(groups: list[list[Row]]) -> list[Row]:
    """Return the lines of the entry that was written last and takes nothing back."""
    return next((group for group in reversed(groups) if group[0]["outcome"] != "reversal"), [])


def _draw_price(rows: list[Row], call: Row) -> None:
    facts: list[tuple[str, Any]] = [
        ("Price", _join_values(rows, "price_id")),
        ("Price tier", TIER_BASES.get(call["tier_basis"])),
        ("Price document", _join_values(rows, "price_document")),
        ("Contract", _join_values(rows, "contract_id")),
    ]
    if any(value for name, value in facts if name != "Price tier"):
        draw_facts(facts)


def _join_values(rows: list[Row], column: str) -> Html | None:
    values = dict.fromkeys(row[column] for row in rows if row[column])
    return Html(", ".join(mono(value) for value in values)) if values else None


def draw_same_identity(arrivals: list[Row], position: Position) -> None:
    """Draw the events with the same identity in the order of the log, with the outcome of each."""
    st.subheader("Events with the same identity", anchor=False)
    draw_table(
        [Column("Accepted, UTC"), Column("Outcome"), Column("Position")],
        ((format_time(row["accepted_at"]), _name_outcome(row), _link_position(row, position)) for row in arrivals),
    )


def _name_outcome(row: Row) -> str:
    released_from = row["released_from"]
    return f"{row['outcome']} (was {released_from})" if released_from else str(row["outcome"])


def _link_position(row: Row, current: Position) -> Html:
    text = "-".join(map(str, read_position(row)))
    return mono(text) if read_position(row) == current else link(text, "call", {"position": text})
