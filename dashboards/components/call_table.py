"""A list of calls, each a link to its page."""

from collections.abc import Sequence

from dashboards.components import html
from dashboards.components.format import exact, money
from dashboards.components.html import Column, Html, format_time, link, named, with_hint
from dashboards.components.unknown_usage import describe_call
from dashboards.sources.warehouse import Row


def build_link_parameters(row: Row) -> dict[str, object]:
    """Return the parameters of a link to a call: its identity."""
    return {"source": row["event_source"], "id": row["event_id"], "organization": row["organization"]}


def draw_calls(rows: Sequence[Row]) -> None:
    """Draw the calls; the time of each leads to it."""
    columns = [
        Column("Time, UTC"), Column("Team", "wide"), Column("Model"), Column("Agent", "wide"),
        Column("Status", "wide"), Column("Tokens", "right"), Column("Spend", "right"),
    ]  # fmt: skip
    html.draw_table(columns, (_row(row) for row in rows))


def _row(row: Row) -> tuple[html.Cell, ...]:
    billed, currency = row["billed_cost"], row["currency"] or ""
    hint = "" if billed is None else exact(billed, currency)
    if unknown := describe_call(row):
        hint = f"{hint} {' '.join(unknown)}".strip()
    return (
        link(
            format_time(row["occurred_at"]),
            "call",
            build_link_parameters(row),
            f"{row['event_source']} {row['event_id']}",
        ),
        row["team"] or None,
        row["model"] or None,
        row["agent"] or None,
        row["status"] or None,
        _find_tokens(row),
        with_hint(format_spend(row), hint),
    )


def _find_tokens(row: Row) -> int | None:
    """Return the tokens of a call; None where nothing tells them, which is not zero."""
    tokens: int = row["tokens"]
    return None if row["pricing"] == "unknown" and not tokens else tokens


def format_spend(row: Row) -> str:
    """Format the cost of a call: a dash where it used nothing, ``unknown`` or ``unpriced`` where it has none, a plus
    where a part of it has none."""
    if row["pricing"] == "free":
        return "–"
    if row["pricing"] == "unknown" and not row["billed_cost"]:
        return "unknown"
    text = money(row["billed_cost"], row["currency"] or "")
    return f"{text} +" if row["pricing"] in ("unknown", "partially_priced") else text


def draw_call_tree(rows: Sequence[Row], current_call: Row) -> None:
    """Draw a session's calls, each below the call that made it; the current call is no link."""
    depth: dict[str, int] = {}
    cells = []
    for row in rows:
        level = depth[row["event_id"]] = depth.get(row["parent_call"], -1) + 1
        time = format_time(row["occurred_at"])
        is_current = row["event_id"] == current_call["event_id"] and row["event_source"] == current_call["event_source"]
        cells.append(
            (
                Html(f"<b>{time}</b>") if is_current else link(time, "call", build_link_parameters(row)),
                Html(f"{chr(0x2003) * level}{'└ ' * bool(level)}{named(row['model'] or '')}"),
                row["agent"] or None,
                row["status"] or None,
                _find_tokens(row),
                format_spend(row),
            )
        )
    columns = [
        Column("Time, UTC"), Column("Model"), Column("Agent", "wide"), Column("Status", "wide"),
        Column("Tokens", "right"), Column("Spend", "right"),
    ]  # fmt: skip
    html.draw_table(columns, cells)
