"""What `tally tail` and `tally status` say of usage whose cost is not known."""

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ingest.intake.batch import Envelope
from ledger.log.sqlite.log import EmbeddedLog
from ledger.log.topics import EVENTS
from tally.cli.app import app
from tally.log.tail import Line
from tally.status.render import describe_unknown_usage

UNKNOWN: dict[str, Any] = {
    "accepted_ms": 0, "organization": "acme", "outcome": "counted", "kind": "inference", "pricing": "unknown",
    "unpriced_reason": "usage missing", "lines": [],
}  # fmt: skip


def test_the_stream_says_why_a_cost_is_unknown_and_the_most_that_it_may_be() -> None:
    assert Line("events", UNKNOWN).text().endswith("cost unknown (usage missing), no upper bound")
    bounded = UNKNOWN | {"greatest_unpriced_cost": "0.250000000000", "currency": "USD"}
    assert Line("events", bounded).text().endswith("cost unknown (usage missing), at most 0.25 USD")


@pytest.mark.parametrize(
    ("unknown", "text"),
    [
        ({"without_usage": 12, "at_most": {"USD": "3.10"}}, "12 calls without usage: at most 3.1 USD"),
        ({"quarantined": 1, "unbounded": 1}, "1 call in quarantine: 1 call without an upper bound"),
        ({}, "no call"),
    ],
)
def test_the_status_has_one_line_of_it(unknown: dict[str, Any], text: str) -> None:
    nothing: dict[str, Any] = dict.fromkeys(("without_usage", "without_price", "quarantined", "unbounded"), 0) | {
        "at_most": {}
    }
    assert describe_unknown_usage(nothing | unknown) == text


def test_records_are_not_taken_for_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLY_HOME", str(tmp_path))
    with closing(EmbeddedLog(tmp_path)) as log:
        log.append(EVENTS, [Envelope("acme", "test", "test").make_draft(b"{}\n{}")])
    text = CliRunner().invoke(app, ["status"]).output
    assert "records: 1 on the log, 0 folded" in text and "a record holds one event or many" in text
