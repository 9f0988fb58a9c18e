"""The sums that ``tally verify`` prints: facts alone are events; control records and ticks are compared apart."""

import pytest

from audit.verify.totals import Totals
from ledger.outcomes import ACCEPTANCE, HELD, OUTCOMES, RELEASE, REPLACEMENT, RESTATEMENT, REVERSAL

NO_OUTCOMES = (REVERSAL, REPLACEMENT, RESTATEMENT, RELEASE)


@pytest.mark.parametrize("outcome", [*OUTCOMES, *NO_OUTCOMES])
@pytest.mark.parametrize("kind", ["control", "tick"])
def test_control_records_are_in_no_sum_of_events(kind: str, outcome: str) -> None:
    totals = Totals()
    totals.add_outcome("acme", kind, outcome, HELD if outcome == RELEASE else ACCEPTANCE, 7)
    assert not any(totals.events.values())
    assert totals.control_counts == {("acme", kind, outcome): 1}


@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("kind", ["inference", "observation", "correction", "unknown"])
def test_each_fact_is_accepted_once_by_its_outcome(kind: str, outcome: str) -> None:
    totals = Totals()
    totals.add_outcome("acme", kind, outcome, None, 7)
    assert (totals.count_events("accepted"), totals.count_events(outcome)) == (1, 1)
    for other in NO_OUTCOMES[:3]:
        totals.add_outcome("acme", kind, other, None, 7)
    assert totals.count_events("accepted") == sum(map(totals.count_events, OUTCOMES)) == 1
