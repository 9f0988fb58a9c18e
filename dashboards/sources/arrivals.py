"""Queries of the page Start here: the newest event, and the address of the HTTP API."""

from dashboards.sources.warehouse import Row, ask, home
from ledger.home.presence import find_presence


def find_newest() -> Row | None:
    """Return the newest accepted fact; None where there is none."""
    sql = (
        "select * from analytics.fct_outcomes where kind in ('inference', 'observation', 'correction', 'unknown')"
        " order by accepted_at desc, log_offset desc, event_index desc limit 1"
    )
    rows = ask(sql)
    return rows[0] if rows else None


def count_rejected() -> int:
    """Count the rejected facts."""
    (row,) = ask("select sum(refused) as number from analytics.fct_records")
    return int(row["number"])


def find_api_url() -> str | None:
    """Return the address of the home's HTTP API; None while it does not run."""
    facts = find_presence(home(), "api")
    return str(facts["url"]) if facts else None
