"""What ``tally import`` says of events that it accepted, and that have no cost yet."""

from collections import Counter

import pytest

from ingest.files.outcomes import Outcomes
from ingest.files.summary import Summary
from tally.cli.import_summary import print_summary, summarize


def test_what_has_no_cost_yet_is_said_with_the_way_out(capsys: pytest.CaptureFixture[str]) -> None:
    reason = "no price of the model"
    outcomes = Outcomes(
        counted=3, held=2, unpriced=Counter({reason: 3}), unpriced_models={reason: ["azure/prod-chat", "m\x1b"]}
    )
    print_summary(Summary(), outcomes)
    text = " ".join(capsys.readouterr().err.split())
    assert "held: 2" in text and "`tally correct EVENT --release`" in text and "where outcome = 'held'" in text
    assert "not fully priced: 3 with the reason 'no price of the model', such as 'azure/prod-chat', 'm\\x1b';" in text
    (facts,) = summarize(Summary(), outcomes)["unpriced"]
    assert facts == {"reason": reason, "events": 3, "models": ["azure/prod-chat", "m\x1b"]}
