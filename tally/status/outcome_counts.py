"""Count the outcomes of all events in the warehouse, and the calls whose cost is not known."""

from typing import Any

from ledger.outcomes import NO_FACTS, OUTCOMES
from ledger.settings import Settings
from tally.sql_client import run_statement

ANSWER_TIMEOUT_S = 5.0

_SQL = f"""
SELECT 'received', sum(received) FROM tally.records
UNION ALL SELECT 'rejected', sum(refused) FROM tally.records
UNION ALL SELECT step.1, sum(step.2)
    FROM (
        SELECT
            arrayJoin(
                if(
                    outcome = 'release',
                    [(toString(reason), toInt64(-1)), ('counted', toInt64(1))],
                    [(toString(outcome), toInt64(1))]
                )
            ) AS step
        FROM tally.events
        WHERE kind NOT IN {NO_FACTS} AND outcome NOT IN ('reversal', 'replacement', 'restatement')
    )
    GROUP BY step.1
"""


def count_outcomes(settings: Settings) -> dict[str, int]:
    """Count the events received and rejected, and those of each outcome; accepted is the sum of the outcomes.
    TallyError where the warehouse does not answer."""
    rows = (line.split("\t") for line in run_statement(settings, _SQL, ANSWER_TIMEOUT_S).splitlines())
    return dict.fromkeys(("received", "rejected", *OUTCOMES), 0) | {name: int(count) for name, count in rows}


_UNKNOWN_SQL = """
SELECT
    currency,
    sumIf(number, NOT is_quarantined AND pricing = 'unknown'),
    sumIf(number, pricing IN ('unpriced', 'partially_priced')),
    sumIf(number, is_quarantined),
    sumIf(number, greatest_unpriced_cost IS NULL),
    sum(ifNull(greatest_unpriced_cost, 0))
FROM (
    SELECT
        *,
        if(outcome = 'reversal', -1, 1) * toInt64(ifNull(nullIf(calls, 0), 1)) AS number,
        outcome = 'quarantined'
        OR (outcome IN ('reversal', 'restatement') AND unpriced_reason = 'quarantined') AS is_quarantined
    FROM tally.events
    WHERE
        kind = 'inference'
        AND outcome IN ('counted', 'quarantined', 'replacement', 'release', 'reversal', 'restatement')
        AND pricing NOT IN ('priced', 'free')
        AND (outcome != 'release' OR pricing != '')
)
GROUP BY currency
ORDER BY currency
"""


def sum_unknown_usage(settings: Settings) -> dict[str, Any]:
    """Sum the calls whose cost is not known: those without usage, without a price, in quarantine, and without an upper
    bound, and the most that the others may cost at list price, by currency. TallyError where the warehouse does not
    answer."""
    names = ("without_usage", "without_price", "quarantined", "unbounded")
    unknown: dict[str, Any] = dict.fromkeys(names, 0) | {"at_most": {}}
    for line in run_statement(settings, _UNKNOWN_SQL, ANSWER_TIMEOUT_S).splitlines():
        currency, *counts, greatest = line.split("\t")
        for name, count in zip(names, counts, strict=True):
            unknown[name] += int(count)
        if currency:
            unknown["at_most"][currency] = greatest
    return unknown
