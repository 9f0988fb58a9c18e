"""Count the outcomes of all events in the warehouse."""

from ledger.outcomes import OUTCOMES
from ledger.settings import Settings
from tally.sql_client import run_statement

ANSWER_TIMEOUT_S = 5.0

_SQL = """
SELECT 'received', sum(received) FROM tally.records
UNION ALL SELECT 'rejected', sum(refused) FROM tally.records
UNION ALL SELECT toString(outcome), count() FROM tally.events WHERE kind NOT IN ('control', 'tick')
    AND outcome NOT IN ('reversal', 'replacement') GROUP BY outcome
"""


def count_outcomes(settings: Settings) -> dict[str, int]:
    """Count the events received and rejected, and those of each outcome; accepted is the sum of the outcomes.
    TallyError where the warehouse does not answer."""
    rows = (line.split("\t") for line in run_statement(settings, _SQL, ANSWER_TIMEOUT_S).splitlines())
    return dict.fromkeys(("received", "rejected", *OUTCOMES), 0) | {name: int(count) for name, count in rows}
