"""Tables and other small pieces as HTML, with exact figures and links. All values are escaped."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from html import escape
from typing import NamedTuple
from urllib.parse import urlencode

import streamlit as st

from dashboards.page_list import find_page
from dashboards.spelling import ABSENT_NAME, MAX_SHOWN, shorten


class Html(str):
    """Text that is HTML already, and is not escaped again."""


class Column(NamedTuple):
    """A column's heading, and its CSS classes: ``right``, ``wrap``, ``soft``, ``wide`` (only on wide screens)."""

    label: str
    look: str = ""


Cell = str | int | Html | None
MAX_NOTE = 2_000
"""Characters of small print and of texts that wrap; ``MAX_SHOWN`` for a name."""


def draw_table(columns: Sequence[Column], rows: Iterable[Sequence[Cell]]) -> None:
    """Draw a table, as wide as the page; on a narrow screen it scrolls by itself."""
    head = "".join(f'<th class="{column.look}">{escape(column.label)}</th>' for column in columns)
    body = "".join(
        "<tr>"
        + "".join(
            f'<td class="{column.look}">{_render_cell(cell, MAX_NOTE if "wrap" in column.look else MAX_SHOWN)}</td>'
            for column, cell in zip(columns, row, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    st.html(f'<div class="tally"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>')


def draw_facts(pairs: Iterable[tuple[str, Cell]]) -> None:
    """Draw names and values in two columns; absent values are left out."""
    rows = "".join(
        f'<tr><td class="name">{escape_text(name)}</td><td class="wrap">{_render_cell(value, MAX_NOTE)}</td></tr>'
        for name, value in pairs
        if value not in (None, "")
    )
    st.html(f'<div class="tally"><table><tbody>{rows}</tbody></table></div>')


def draw_equation(total: tuple[str, int], parts: Sequence[tuple[str, int]]) -> None:
    """Draw ``total = part + part``, with an error where it does not add up."""
    holds = total[1] == sum(number for _, number in parts)
    pieces = [_render_term(*total), f'<span class="sign">{"=" if holds else "≠"}</span>']
    for index, part in enumerate(parts):
        pieces += ['<span class="sign">+</span>'] * bool(index) + [_render_term(*part)]
    st.html(f'<div class="tally"><div class="equation">{"".join(pieces)}</div></div>')
    if not holds:
        st.error(f"The counts do not add up: {total[0]} is not the sum of its parts. Run `tally verify`.")


def link(text: str | Html, page: str, parameters: Mapping[str, object], title: str = "") -> Html:
    """Return a link to a page by its name and parameters. KeyError where there is no such page."""
    query = urlencode(
        {name: value for name, value in parameters.items() if value not in (None, "", [], ())}, doseq=True
    )
    hint = f' title="{escape_text(title)}"' if title else ""
    return Html(f'<a href="{find_page(page).link}?{escape(query)}"{hint}>{_render_cell(text)}</a>')


def with_hint(text: str, hint: str) -> Html:
    """Return a figure with a hint, for example with all its digits."""
    return Html(f'<span title="{escape_text(hint)}">{escape_text(text)}</span>')


def bar(share: Decimal, look: str = "") -> Html:
    """Return a share of 100 as a bar with its figure; ``look`` may be ``near`` or ``over``."""
    track = f'<span class="bar {look}"><i style="width:{min(share, Decimal(100))}%"></i></span>'
    return Html(f'{track}<span class="figure">{share}%</span>')


def segments(parts: Iterable[tuple[str, Decimal]], figure: str, hint: str, look: str = "") -> Html:
    """Return shares of 100 as parts of one bar, each with its look, and a figure beside it; ``look`` of the figure may
    be ``near`` or ``over``."""
    pieces = "".join(f'<i class="{name}" style="width:{share}%"></i>' for name, share in parts if share > 0)
    track = f'<span class="bar parts">{pieces}</span><span class="figure {look}">{escape_text(figure)}</span>'
    return Html(f'<span title="{escape_text(hint, MAX_NOTE)}">{track}</span>')


def mark(text: str, look: str = "") -> Html:
    """Return a word as a small label; ``look`` may be ``near`` or ``over``."""
    return Html(f'<span class="mark {look}">{escape_text(text)}</span>')


def move(text: str, hint: str, percentage: Decimal, is_rise: bool) -> Html:
    """Return a change with a bar that leads to the right for a rise and to the left for a fall; arrows say it, too.
    ``percentage`` is the bar's share of the longest one."""
    look, arrow = ("rise", "▲") if is_rise else ("fall", "▼")
    track = f'<span class="move {look}"><i style="width:{min(percentage, Decimal(100)) / 2}%"></i></span>'
    return Html(
        f'<span title="{escape_text(hint)}">{escape_text(text)} <span class="{look}">{arrow}</span></span>{track}'
    )


def spark(amounts: Sequence[Decimal], hint: str) -> Html:
    """Return a row of small bars, the highest as high as the row."""
    highest = max(amounts, default=Decimal(0)) or Decimal(1)
    bars = "".join(f'<i style="height:{amount * 100 / highest:.0f}%"></i>' for amount in amounts)
    return Html(f'<span class="spark" title="{escape_text(hint)}">{bars}</span>')


def draw_heading(text: str) -> None:
    """Draw a page's heading that holds values: as text, since Streamlit reads its own headings as Markdown."""
    st.html(f'<div class="tally"><h2>{escape_text(text)}</h2></div>')


def named(name: str) -> Html:
    """Return a name, or the sign of an absent one in soft print; no name looks like that sign."""
    return Html(escape_text(name)) if name else soften(ABSENT_NAME)


def soften(word: str) -> Html:
    """Return a word of ours, in soft print, among names."""
    return Html(f'<span class="soft">{escape(word)}</span>')


def draw_legend(names: Sequence[Html], colours: Sequence[str]) -> None:
    """Draw the legend: the colour of each group."""
    items = "".join(
        f'<span><i style="background:{colour}"></i>{name}</span>' for name, colour in zip(names, colours, strict=False)
    )
    st.html(f'<div class="tally"><div class="legend">{items}</div></div>')


def format_time(time: datetime) -> Html:
    """Return a time in UTC; narrow screens leave out the year."""
    return Html(f'<span class="wide">{time:%Y-}</span>{time:%m-%d %H:%M:%S}')


def mono(text: str) -> Html:
    """Return an id or a hash in a fixed-width font."""
    return Html(f'<span class="id">{escape_text(text)}</span>')


def mark_code(text: str) -> Html:
    """Return a text with the names between its backticks in a fixed-width font, as descriptions of models have them."""
    return Html(re.sub("`([^`]+)`", r"<code>\1</code>", escape_text(text, MAX_NOTE)))


def add_narrow_line(cell: Html, text: str) -> Html:
    """Return a cell with a second line that narrow screens show, in place of a column that they hide."""
    return Html(f'{cell}<span class="narrow soft">{escape_text(text)}</span>')


def add_line(cell: Html, text: str) -> Html:
    """Return a cell with a second line in soft print, which wraps."""
    return Html(f'{cell}<span class="second soft">{escape_text(text)}</span>')


def draw_note(text: str | Html) -> None:
    """Draw small print that holds values: as text, since Streamlit reads its own captions as Markdown."""
    note = text if isinstance(text, Html) else escape_text(text, MAX_NOTE)
    st.html(f'<div class="tally"><span class="soft">{note}</span></div>')


def draw_live_line(detail: str = "") -> None:
    """Draw the line that says when the figures were read."""
    draw_pulse(f"Live at {datetime.now(UTC):%H:%M:%S} UTC{detail}")


def draw_pulse(text: str) -> None:
    """Draw a line with the sign of a page that refreshes itself."""
    st.html(f'<div class="tally"><span class="live">{escape(text)}</span></div>')


def _render_term(label: str, number: int) -> str:
    return f"<div><b>{number:,}</b><span>{escape(label)}</span></div>"


def _render_cell(cell: Cell, length: int = MAX_SHOWN) -> str:
    if isinstance(cell, Html):
        return cell
    if cell is None:
        return '<span class="soft">–</span>'
    return f"{cell:,}" if isinstance(cell, int) else escape_text(cell, length)


def escape_text(text: str, length: int = MAX_SHOWN) -> str:
    """Return text as HTML; invisible characters, and those that reverse the text beside them, are written out."""
    return escape(shorten(text, length))
