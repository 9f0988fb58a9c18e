"""Output of commands: facts on stdout, progress and errors on stderr, JSON for programs."""

import json
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

_WIDE = None if sys.stdout.isatty() else 200
out = Console(highlight=False, soft_wrap=True, width=_WIDE)
err = Console(stderr=True, highlight=False, soft_wrap=True)

NO_TEAM, NO_CURRENCY = "(no team)", "(none)"


def print_json(facts: Any) -> None:
    """Print facts as JSON, for ``--json``. Exact values (money, paths, times) are strings."""
    sys.stdout.write(json.dumps(facts, indent=2, default=str, ensure_ascii=False) + "\n")


def print_printable(line: str) -> None:
    """Print a line that may repeat what an event says, which may be anything: control characters become dots."""
    out.print("".join(character if character.isprintable() else "·" for character in line), markup=False)


def make_table(*columns: str) -> Table:
    """Return an empty table. A leading ``>`` right-aligns a column."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column.removeprefix(">"), justify="right" if column.startswith(">") else "left")
    return table


def print_omitted(console: Console, row_count: int) -> None:
    """Print how many rows a table leaves out because every figure of theirs is zero."""
    if row_count:
        rows = "1 row is" if row_count == 1 else f"{row_count:,} rows are"
        console.print(f"{rows} left out: every figure is zero.")


def make_narrow_table(*columns: str) -> Table:
    """Return an empty table of many columns, with less room between them."""
    table = make_table(*columns)
    table.padding = (0, 1, 0, 0)
    return table


@contextmanager
def step(activity: str) -> Iterator[None]:
    """Show an activity on stderr while it lasts."""
    with err.status(f"{activity} …"):
        yield


def progress_bar() -> Progress:
    """Return a progress bar on stderr; it shows nothing where stderr is no terminal."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    return Progress(*columns, TimeElapsedColumn(), console=err, transient=True, disable=not err.is_terminal)


def pause(seconds: float) -> None:
    """Wait between two polls of a followed stream. BrokenPipeError as soon as nobody reads stdout any more: a write
    would raise it too, but the next one may be long in coming (``tally tail | head -1``)."""
    poller = select.poll()
    poller.register(sys.stdout.fileno(), 0)
    if poller.poll(seconds * 1000):
        raise BrokenPipeError


def format_size(byte_count: int) -> str:
    """Render a number of bytes for people."""
    for unit, divisor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if byte_count >= divisor:
            return f"{byte_count / divisor:.1f} {unit}"
    return f"{byte_count} B"
