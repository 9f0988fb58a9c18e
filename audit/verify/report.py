"""Render the report of a verification for a terminal."""

from collections.abc import Iterator
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from audit.verify.verify import Report
from ledger.outcomes import OUTCOMES


def render_report(report: Report) -> Group:
    """Render events, tokens and costs of log, topic and warehouse, and the first difference."""
    facts = report.as_json()
    events = facts["events"]
    return Group(
        f"received {events['received']:,} = accepted {events['accepted']:,} + rejected {events['rejected']:,}",
        f"accepted {events['accepted']:,} = " + " + ".join(f"{word} {events[word]:,}" for word in OUTCOMES),
        _table(facts),
        *_describe_decisions(facts),
        _conclusion(facts),
    )


def _describe_decisions(facts: dict[str, Any]) -> Iterator[str]:
    """Say how many decisions of each name were recomputed, where the topic has the same."""
    if facts["decisions"] and facts["difference"] is None:
        figures = ", ".join(f"{name} {count:,}" for name, count in facts["decisions"].items())
        yield f"decisions recomputed from the log, and equal: {figures}"


def _table(facts: dict[str, Any]) -> Table:
    table = Table("", "log", "topic", "warehouse", box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for name, figures in _figures(facts):
        is_equal = len(set(figures)) == 1
        table.add_row(name, *figures, style=None if is_equal else "bold red")
    return table


def _figures(facts: dict[str, Any]) -> Iterator[tuple[str, list[str]]]:
    for name, figures in (facts["tokens"] | facts["quantities"]).items():
        yield name, [f"{figure:,}" for figure in figures.values()]
    for kind, label in (("cost", "billed"), ("list_cost", "at list price")):
        for currency, figures in facts[kind].items():
            yield f"{currency} {label}", list(figures.values())


def write_conclusion(facts: dict[str, Any]) -> str:
    """Write what a report (``Report.as_json``) comes to: all is equal, or the first difference and the way out."""
    behind = f"; {facts['behind']:,} records were not yet folded or stored" if facts["behind"] else ""
    difference = facts["difference"]
    if difference is None:
        before = facts["records"] - facts["recomputed"]
        extent = f"; {before:,} of {facts['records']:,} records were verified before" if before else ""
        views = f" and {facts['views']} views of the models" if facts["views"] else ""
        return f"equal to the last digit, on {len(facts['positions'])} partitions of the log{views}{extent}{behind}"
    place = ", ".join(f"{name} {value}" for name, value in difference["where"].items() if value)
    figures = ", ".join(f"{name} {difference[name]}" for name in ("log", "topic", "warehouse") if difference[name])
    way_out = f". To put it right, {difference['way_out']}" if "way_out" in difference else ""
    return f"the first difference is in {difference['what']} ({place}): {figures}{behind}{way_out}"


def _conclusion(facts: dict[str, Any]) -> Text:
    return Text(write_conclusion(facts), "green" if facts["difference"] is None else "bold red")
