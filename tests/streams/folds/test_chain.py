"""The chain: outcomes, processing_error, relays, and that the order of work does not show."""

import json

import pytest

from ledger import envelope
from ledger.errors import LogDamaged, TallyError
from ledger.log import Record
from ledger.log.topics import DECISIONS, ENTRIES
from streams.folds import chain
from streams.folds.emit import Emit
from streams.folds.entry import Entry
from streams.folds.event import Event
from streams.folds.state import State
from streams.replay import replay, replay_outcomes
from tests.streams.build import DOCUMENTS, adopt, budget, call, record


def said(*records: Record) -> list[tuple[str, str | None]]:
    return [(line["outcome"], line.get("reason")) for line in replay_outcomes(records, DOCUMENTS)]


def test_duplicates_and_conflicts_name_the_first() -> None:
    lines = replay_outcomes([record(0, adopt(), call("a"), call("a")), record(1, call("a", 1))], DOCUMENTS)
    assert [(line["outcome"], line.get("original_offset"), line.get("original_index")) for line in lines[1:]] == [
        ("counted", None, None), ("duplicate", 0, 1), ("conflict", 0, 1),
    ]  # fmt: skip


def test_what_a_poisoned_event_changed_is_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fold that raises, after the budget has counted the call: the budget is as it was, and the log goes on."""

    def stumble(event: Event, entry: Entry, rows: State, emit: Emit) -> None:
        if event.id == "p":
            raise ZeroDivisionError("a defect")

    log = [record(0, adopt()), record(1, budget("b", "1"), call("p"), call("a"))]
    without = [record(0, adopt()), record(1, budget("b", "1"), b"x", call("a"))]
    monkeypatch.setattr(chain, "_ON_ENTRY", (*chain._ON_ENTRY, stumble))
    assert said(*log)[2:] == [("quarantined", "processing_error"), ("counted", None)]
    decided = [[one.value for topic, one in replay(some, DOCUMENTS) if topic is DECISIONS] for some in (log, without)]
    assert decided[0] == decided[1] and len(decided[0]) == 2


@pytest.mark.parametrize(
    "line", [b"", b"{", b"[]", b"1", b'{"id":"a"}', b"\xff", call("a").replace(b"inference", b"x")]
)
def test_a_line_that_is_no_event_is_quarantined(line: bytes) -> None:
    assert said(record(0, call("b"), line, call("c"))) == [
        ("counted", None), ("quarantined", "malformed"), ("counted", None),
    ]  # fmt: skip


def test_a_document_that_the_log_lacks_stops_the_fold() -> None:
    with pytest.raises(TallyError, match="does not hold it"):
        replay([record(0, adopt())], {})


def test_relays_count_nothing_and_must_follow_one_another() -> None:
    first = record(0, adopt("one"), relay_of="3:0", relay_after="")
    second = record(1, adopt("two"), relay_of="3:1", relay_after="3:0")
    derived = replay([first, second, record(2, call("a"))], DOCUMENTS)
    lines = [json.loads(line) for topic, one in derived if topic is ENTRIES for line in one.value.split(b"\n")]
    assert [(line["outcome"], line.get("received"), line.get("pricing")) for line in lines] == [
        ("record", 0, None), ("record", 0, None), ("counted", None, "priced"), ("record", 1, None),
    ]  # fmt: skip
    with pytest.raises(LogDamaged, match="restore the log"):
        replay([first, second._replace(headers={**second.headers, "relay_after": "3:9"})], DOCUMENTS)


def test_a_relay_that_is_repeated_changes_nothing() -> None:
    first = record(0, adopt("one"), relay_of="3:9", relay_after="")
    second = record(1, adopt("two"), relay_of="3:10", relay_after="3:9")
    again = [first._replace(offset=2), second._replace(offset=3)]
    derived = replay([first, second, *again, record(4, call("a"))], DOCUMENTS)
    lines = [json.loads(line) for topic, one in derived if topic is ENTRIES for line in one.value.split(b"\n")]
    assert [(line["outcome"], line.get("received")) for line in lines] == [
        *[("record", 0)] * 4, ("counted", None), ("record", 1),
    ]  # fmt: skip
    assert sum(topic is DECISIONS for topic, _ in derived) == 2


def test_refused_events_are_received() -> None:
    (derived,) = replay([record(0, refused="3")], DOCUMENTS)
    line = json.loads(derived[1].value)
    assert (line["outcome"], line["received"], line["refused"]) == ("record", 3, 3)


def test_an_event_sees_the_prices_before_it() -> None:
    lines = replay_outcomes([record(0, call("a"), adopt(), call("b"))], DOCUMENTS)
    assert [line.get("pricing") for line in lines] == ["unpriced", None, "priced"]


def test_a_record_of_the_former_format_is_refused_with_the_way_to_start_anew() -> None:
    headers = {envelope.FORMER_CHANNEL: "http", envelope.ORGANIZATION: "acme", envelope.REFUSED: "0"}
    old = record(1, call("a"))._replace(headers=headers)
    with pytest.raises(LogDamaged, match=r"partition 0, offset 1 .* TALLY_LOG"):
        replay_outcomes([record(0, adopt()), old], DOCUMENTS)
