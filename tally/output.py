"""How commands speak: facts on stdout, progress and errors on stderr, JSON for programs."""

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


def print_json(facts: Any) -> None:
    """Facts as JSON, for ``--json``. What is exact (money, paths, times) is a string."""
    sys.stdout.write(json.dumps(facts, indent=2, default=str, ensure_ascii=False) + "\n")


def make_table(*columns: str) -> Table:
    """An empty table; columns of figures are given right-aligned by a leading ``>``."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column.removeprefix(">"), justify="right" if column.startswith(">") else "left")
    return table


@contextmanager
def step(activity: str) -> Iterator[None]:
    """Show on stderr that this is being done."""
    with err.status(f"{activity} …"):
        yield


def progress_bar() -> Progress:
    """A bar on stderr for work whose size is known; nothing where stderr is no terminal."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    return Progress(*columns, TimeElapsedColumn(), console=err, transient=True, disable=not err.is_terminal)


def pause(seconds: float) -> None:
    """Wait, for who follows. BrokenPipeError as soon as nobody reads stdout any more: a write would say so, but none
    may come for long (``tally tail | head -1``)."""
    poller = select.poll()
    poller.register(sys.stdout.fileno(), 0)
    if poller.poll(seconds * 1000):
        raise BrokenPipeError


def format_size(byte_count: int) -> str:
    """Bytes as people read them."""
    for unit, divisor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if byte_count >= divisor:
            return f"{byte_count / divisor:.1f} {unit}"
    return f"{byte_count} B"
