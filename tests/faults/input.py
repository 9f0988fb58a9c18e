"""What is imported while parts die: a demo organization's days, and a trace of another organization."""

import json
from datetime import date, datetime, timedelta
from pathlib import Path

from tally.demo.history import make_day

END = date(2026, 10, 15)
"""The last day: of history with calls in conflict, and lines that are no events."""


def history(path: Path, days: int) -> tuple[Path, int]:
    """A file of the organization's events as NDJSON, and how many different calls of it count."""
    events = [event for n in reversed(range(days)) for event in make_day(END - timedelta(days=n), END)]
    path.write_text("\n".join(json.dumps(event) for event in events))
    return path, len({event["id"] for event in events if not event["id"].endswith(("-broken", "-miscounted"))})


def trace(path: Path, lines: int) -> Path:
    """A trace of Azure's kind."""
    begin = datetime(2024, 11, 16)
    rows = (f"{begin + timedelta(seconds=n):%Y-%m-%d %H:%M:%S}.9799600,{n % 9000},{n % 50}" for n in range(lines))
    path.write_text("\r\n".join(("TIMESTAMP,ContextTokens,GeneratedTokens", *rows)))
    return path
