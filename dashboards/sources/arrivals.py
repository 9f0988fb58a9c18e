"""The questions of the start page: what came in last, and where the door is."""

from dashboards.sources.warehouse import Row, ask, home
from ledger.home.presence import find_presence


def find_newest() -> Row | None:
    """The fact that was accepted last; None where there is none."""
    sql = (
        "select * from analytics.fct_outcomes where kind in ('inference', 'observation', 'correction', 'unknown')"
        " order by accepted_at desc, log_offset desc, event_index desc limit 1"
    )
    rows = ask(sql)
    return rows[0] if rows else None


def count_rejected() -> int:
    """How many facts the doors refused."""
    (row,) = ask("select sum(refused) as number from analytics.fct_records")
    return int(row["number"])


def find_api_url() -> str | None:
    """Where the HTTP door of this home listens; None while it does not."""
    facts = find_presence(home(), "api")
    return str(facts["url"]) if facts else None
