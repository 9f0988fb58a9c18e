"""Queries of the page Start here: the newest event, and the address of the HTTP API."""

from dashboards.sources.warehouse import Row, ask, home
from ledger.home.presence import find_presence

_RECENT_RECORDS = 1_000
"""The last records of a log partition, in which the newest fact is looked for first."""


def find_newest() -> Row | None:
    """Return the newest accepted fact; None where there is none."""
    ends = ask("select log_partition, max(log_offset) as last_offset from analytics.fct_records group by log_partition")
    recent = [
        f"(log_partition = {int(end['log_partition'])} and log_offset > {int(end['last_offset']) - _RECENT_RECORDS})"
        for end in ends
    ]
    return _find_newest(" or ".join(recent)) or _find_newest("true") if recent else None


def _find_newest(condition: str) -> Row | None:
    rows = ask(
        "select * from analytics.fct_outcomes where kind in ('inference', 'observation', 'correction', 'unknown')"
        f" and ({condition}) order by accepted_at desc, log_offset desc, event_index desc limit 1"
    )
    return rows[0] if rows else None


def count_rejected() -> int:
    """Count the rejected facts."""
    (row,) = ask("select sum(refused) as number from analytics.fct_records")
    return int(row["number"])


def find_api_url() -> str | None:
    """Return the address of the home's HTTP API; None while it does not run."""
    facts = find_presence(home(), "api")
    return str(facts["url"]) if facts else None
