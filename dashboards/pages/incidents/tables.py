"""Tables of the page Incidents: episodes, the calls of one, and the detectors."""

from collections.abc import Iterable

from dashboards.components.format import exact, money
from dashboards.components.html import Cell, Column, add_narrow_line, draw_table, format_time, link, mark, with_hint
from dashboards.pages.incidents import words
from dashboards.pages.incidents.precision import describe_precision
from dashboards.periods import format_duration
from dashboards.sources.warehouse import Row
from ledger.detectors import spell_detector


def draw_episodes(rows: Iterable[Row]) -> None:
    """Draw episodes, each with a link to its own view."""
    columns = [
        Column("Incident"), Column("Began, UTC", "wide"), Column("Team", "wide"), Column("An hour", "right"),
        Column("Spent", "right"), Column("Calls", "right wide"), Column("Duration", "wide"), Column("State", "wide"),
    ]  # fmt: skip
    draw_table(columns, (_build_cells(row) for row in rows))


def _build_cells(row: Row) -> tuple[Cell, ...]:
    hint = f"session {row['session']}" if row["session"] else row["episode_id"]
    name = link(words.title(row), "incidents", {"episode": row["episode_id"]}, hint)
    is_page = row["severity"] == "page" and row["state"] == "active"
    return (
        add_narrow_line(type(name)(name + mark("page", "over")) if is_page else name, words.describe_state(row)),
        format_time(row["began_at"]),
        row["team"] or None,
        with_hint(*words.format_sums(row["per_hour"])) if row["per_hour"] else None,
        with_hint(*words.format_sums(row["spent"])),
        int(row["repeats"]) if row["kind"] == "runaway" else None,
        format_duration(row["last_at"] - row["began_at"]) if row["kind"] == "runaway" else None,
        words.describe_state(row),
    )


def draw_calls(rows: Iterable[Row]) -> None:
    """Draw the calls of a run, each with a link to its page."""
    columns = [
        Column("Time, UTC"), Column("Repeat", "right"), Column("Tool"), Column("Model", "wide"),
        Column("Status", "wide"), Column("Tokens", "right"), Column("List cost", "right"),
    ]  # fmt: skip
    cells: list[tuple[Cell, ...]] = []
    for row in rows:
        position = f"{row['log_partition']}-{row['log_offset']}-{row['event_index']}"
        cost, currency = row["list_cost"], row["currency"] or ""
        cells.append(
            (
                link(format_time(row["occurred_at"]), "call", {"position": position}, position),
                int(row["repeats_so_far"]) if row["is_repeat"] else None,
                row["tool"] or None,
                row["model"] or None,
                row["status"] or None,
                row["tokens"],
                None if row["pricing"] == "free" else with_hint(money(cost, currency), exact(cost, currency)),
            )
        )
    draw_table(columns, cells)


def draw_detectors(rows: Iterable[Row]) -> None:
    """Draw each detector and month with its alerts, and how many of those with a label were right."""
    columns = [
        Column("Month"), Column("Detector"), Column("Alerts", "right"), Column("Right", "right"),
        Column("Wrong", "right"), Column("Precision, 95 % interval", "right"),
    ]  # fmt: skip
    draw_table(
        columns,
        (
            (
                f"{row['month']:%Y-%m}",
                spell_detector(row["detector"]),
                int(row["alerts"]),
                int(row["right"]),
                int(row["wrong"]),
                describe_precision(int(row["right"]), int(row["wrong"])),
            )
            for row in rows
        ),
    )
