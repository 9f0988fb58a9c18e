"""Search and pages of a table. Both stand in the address; the warehouse selects the rows."""

from collections.abc import Callable
from typing import Literal

import streamlit as st

from dashboards.components.format import count
from dashboards.slices import SIZE, Slice
from dashboards.sources.warehouse import Row
from dashboards.spelling import read_part


def read_slice(key: str, size: int = SIZE) -> Slice:
    """Return the slice that the controls of a table ask for, before they are drawn: those of ``draw_search`` and
    ``draw_pages`` with the same key."""
    search: str = st.session_state.get(f"{key}_search") or st.query_params.get(f"{key}_search") or ""
    number = st.session_state.get(f"{key}_page") or _read_number(st.query_params.get(f"{key}_page", ""))
    return Slice(read_part(search), (number - 1) * size, size)


def draw_search(key: str, label: str, rows: Slice, total: int) -> None:
    """Draw the search of a table with so many rows, or more; nothing where all of them are on one page."""
    if total > rows.size or rows.search or rows.first:
        st.text_input(
            label, key=f"{key}_search", type="search", placeholder=label, label_visibility="collapsed", width=240,
            bind="query-params", on_change=_show_first_page, args=(key,),
        )  # fmt: skip


def show_table(
    key: str, title: str, list_rows: Callable[[Slice], list[Row]], draw: Callable[[list[Row]], None], empty_text: str,
    note: str = "", size: int = SIZE,
) -> None:  # fmt: skip
    """Show a table below its heading: its rows, each of which counts all that match as ``number``, with search and
    pages; the note stands above it, the ``empty_text`` in its place."""
    selection = read_slice(key, size)
    rows = list_rows(selection)
    total = int(rows[0]["number"]) if rows else 0
    draw_title(title, key, "Search", selection, total, key)
    if rows:
        if note:
            st.caption(note)
        draw(rows)
    elif not selection.search:
        st.caption(empty_text)
    draw_pages(key, selection, total)


def draw_title(title: str, key: str, label: str, rows: Slice, total: int, anchor: str | Literal[False] = False) -> None:
    """Draw the heading of a table, with its search beside it."""
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.subheader(title, anchor=anchor, width="content")
        draw_search(key, label, rows, total)


def draw_pages(key: str, rows: Slice, total: int) -> None:
    """Draw which rows are shown of how many, and the way to the others; nothing where all are shown."""
    if not total and rows.search:
        st.caption("Nothing has this text.")
    if total <= rows.size and not rows.first:
        return
    if rows.first >= total:  # a link from when there were more, or another search
        st.session_state[f"{key}_page"] = 1
        st.rerun()
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.caption(f"{count(rows.first + 1)}–{count(min(rows.last, total))} of {count(total)}")
        # it shows as many numbers as its box has room for, so the box must not be as wide as its content
        st.pagination(-(-total // rows.size), key=f"{key}_page", bind="query-params", max_visible_pages=5, width=260)


def draw_more(key: str, rows: Slice, row_count: int) -> None:
    """Draw the way to earlier and later rows of a table that is too long to be counted. ``row_count`` rows were read,
    one more than the slice where there are more."""
    if not row_count and rows.first:
        st.session_state[f"{key}_page"] = 1
        st.rerun()
    if not rows.first and row_count <= rows.size:
        return
    number = rows.first // rows.size + 1
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.caption(f"{count(rows.first + 1)}–{count(rows.first + min(row_count, rows.size))}")
        st.pagination(number + (row_count > rows.size), key=f"{key}_page", bind="query-params", max_visible_pages=0)


def _show_first_page(key: str) -> None:
    st.session_state[f"{key}_page"] = 1


def _read_number(text: str) -> int:
    """Return the number of a page in a link; 1 where it is none."""
    return max(1, int(text)) if text.isdecimal() and text.isascii() and len(text) < 8 else 1
