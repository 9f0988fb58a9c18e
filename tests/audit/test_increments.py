"""A verification that goes on from what was verified says the same as one of everything."""

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples_of
from hypothesis import strategies as some

from audit.verify import from_log, from_topic, verified_prefix
from audit.verify.contracts import open_document
from audit.verify.recompute import JudgedLine, Partition
from audit.verify.totals import Group, Totals
from ledger.log import Draft, Record, fold_offset, partition_of
from ledger.log.sqlite.log import EmbeddedLog
from ledger.log.topics import DERIVED, EVENTS
from ledger.pricing.price_book import pack_book
from ledger.pricing.price_book_file import parse_book
from ledger.settings import Settings
from streams.embedded.store import Store
from streams.embedded.worker import Partition as Worker
from streams.runtime import read_catalogues
from tests.audit.test_verify import END, rights
from tests.dashboards.feed import BOOK, ORGANIZATION, call, control, corrected, doubtful, history, store_document
from tests.rules.test_agree import covered_steps, decisions, log_under_contracts, records
from tests.rules.test_agree import log as build_log
from tests.rules.test_rules import DOCUMENTS

NUMBER = partition_of(ORGANIZATION)


def judge(log: list[Record], split: int | None = None) -> list[JudgedLine]:
    """Judge a log; where it is split, the second part by a reader that goes on from the first one's state."""

    def read_line(offset: int, event_index: int) -> bytes:
        return log[offset].value.split(b"\n")[event_index]

    database = sqlite3.connect("")

    def begin() -> Partition:
        return Partition(
            lambda digest: open_document(digest, DOCUMENTS[digest]), read_line, lambda first, end: log[first:end],
            database,
        )  # fmt: skip

    reader, judged = begin(), []
    for offset, record in enumerate(log):
        if offset == split:
            state = json.loads(json.dumps(reader.dump_state()))
            reader = begin()
            reader.load_state(state)
        judged += list(reader.judge(record))
    return judged


@examples_of(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(covered_steps, some.integers(0, 2), some.integers(0, 12))
def test_a_split_of_a_log_under_contracts_changes_nothing(steps: Any, unpriced_steps: int, split: int) -> None:
    log = log_under_contracts(steps, unpriced_steps)
    assert judge(log, split % len(log)) == judge(log)


@examples_of(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(records | decisions, some.integers(0, 12))
def test_a_split_of_any_log_changes_nothing(steps: Any, split: int) -> None:
    log = build_log(steps)
    assert judge(log, split % max(len(log), 1)) == judge(log)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


@pytest.fixture
def log(settings: Settings) -> Iterator[EmbeddedLog]:
    with closing(EmbeddedLog(settings.home)) as log:
        append(settings, log, prices(log), [*history(2, 60, END)])
        yield log


def prices(log: EmbeddedLog) -> list[bytes]:
    digest, packed = pack_book(parse_book(BOOK, "the test"))
    store_document(log, digest, packed)
    return [control("book", "price_book.adopted", name="test", document=digest)]


def append(settings: Settings, log: EmbeddedLog, *parts: list[bytes]) -> None:
    """Append a record for each part, and fold."""
    headers = {"organization": ORGANIZATION, "channel": "api", "principal": "test", "schema": "1", "refused": "0"}
    log.append(EVENTS, [Draft(NUMBER, ORGANIZATION, headers, b"\n".join(part)) for part in parts])
    with closing(Store(settings.home)) as store:
        worker = Worker(NUMBER, log, store, read_catalogues(log))
        while worker.step():
            pass


class Interrupted(Exception):
    pass


def read(settings: Settings, log: EmbeddedLog, stop_after: int | None = None) -> tuple[Totals, Totals, list[int]]:
    """Read both sides; the counts say how many records that took. Both agree."""
    bound, count = fold_offset(log, NUMBER) - 1, 0

    def advance() -> None:
        nonlocal count
        count += 1
        if stop_after is not None and count > stop_after:
            raise Interrupted

    log_totals, log_count, difference = from_log.recompute_totals(
        settings, log, from_log.make_loader(log), NUMBER, bound, advance
    )
    bounds = {topic.name: bound for topic in DERIVED}
    topic_totals, topic_count, topic_difference = from_topic.read_totals(settings, log, NUMBER, bounds, advance)
    assert difference is None and topic_difference is None
    assert log_totals.groups == topic_totals.groups and log_totals.event_checksums == topic_totals.event_checksums
    return log_totals, topic_totals, [log_count, topic_count]


def read_from_start(settings: Settings, log: EmbeddedLog) -> list[Any]:
    verified_prefix.discard_prefixes(settings)
    return [totals.as_json() for totals in read(settings, log)[:2]]


def as_sets(totals: list[Any]) -> list[Any]:
    return [[sorted(map(json.dumps, part)) for part in source] for source in totals]


def test_what_came_since_is_read_and_no_more(settings: Settings, log: EmbeddedLog) -> None:
    """Late restatements, corrections and closed months too, which reach back."""
    assert read(settings, log)[2] == [2, 2], "without a state everything is read"
    assert read(settings, log)[2] == [0, 0]
    append(settings, log, corrected(END), doubtful(END))
    append(
        settings, log, [control("close", "period.closed", month="2026-01")], [call("late", END, tokens={"input": 5})]
    )
    restated = control("restate", "price.restated", first_offset=0, end_offset=2)
    append(settings, log, [restated])
    *totals, counts = read(settings, log)
    assert counts == [5, 5]
    assert as_sets([total.as_json() for total in totals]) == as_sets(read_from_start(settings, log))


def test_decisions_on_rights_go_on_from_what_was_kept(settings: Settings, log: EmbeddedLog) -> None:
    """Meters, reservations and leases too: each read compares with the topic."""
    totals = read(settings, log)[0]
    for line in rights():
        append(settings, log, [line])
        totals = read(settings, log)[0]
    assert totals.decisions["admission.decided"] == 2
    whole = Totals.from_json(read_from_start(settings, log)[0])
    assert totals.decisions == whole.decisions


def test_a_verification_that_was_interrupted_goes_on(
    settings: Settings, log: EmbeddedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(settings, log, *([call(f"n{number}", END, tokens={"input": number})] for number in range(8)))
    monkeypatch.setattr(from_log, "SAVE_INTERVAL_S", -1)
    monkeypatch.setattr(from_topic, "SAVE_INTERVAL_S", -1)
    for stop_after in (0, 4, 3, 12):
        with pytest.raises(Interrupted):
            read(settings, log, stop_after)
    *totals, counts = read(settings, log)
    assert 0 <= counts[0] < 10 and 0 < counts[1] < 10
    assert as_sets([total.as_json() for total in totals]) == as_sets(read_from_start(settings, log))


@pytest.mark.parametrize("harm", ["older", "content", "no json", "no database", "mark"])
def test_a_kept_state_that_does_not_fit_is_made_anew(settings: Settings, log: EmbeddedLog, harm: str) -> None:
    read(settings, log)
    text = settings.home / "verified" / f"{NUMBER}.json"
    database = verified_prefix.locate_database(settings, NUMBER)
    if harm == "no database":
        text.write_bytes(b"\xff")
        database.write_bytes(b"no database" * 1000)
    else:
        before, after = {
            "older": ('"code": "', '"code": "0'), "content": ("control", "contro1"), "no json": ("{", ""),
            "mark": ("[1, ", "[0, "),
        }[harm]  # fmt: skip
        assert before in text.read_text()
        text.write_text(text.read_text().replace(before, after, 1))
        with closing(sqlite3.connect(database)) as db, db:
            (packed,) = db.execute("SELECT packed FROM prefix").fetchone()
            db.execute("UPDATE prefix SET packed = ?", (packed.replace(before, after, 1),))
    assert read(settings, log)[2] == [2, 2]
    assert read(settings, log)[2] == [0, 0]


def test_a_log_that_was_cut_is_read_anew(settings: Settings, log: EmbeddedLog, tmp_path: Path) -> None:
    read(settings, log)
    shutil.copytree(settings.home / "verified", tmp_path / "kept")
    other = Settings(home=tmp_path / "other")
    with closing(EmbeddedLog(other.home)) as shorter:
        append(other, shorter, prices(shorter), [*history(2, 30, END)])
        shutil.copytree(tmp_path / "kept", other.home / "verified")
        assert read(other, shorter)[2] == [2, 2]


def test_what_is_ahead_of_the_warehouse_stays_for_later(settings: Settings, log: EmbeddedLog) -> None:
    append(settings, log, [call("later", END, tokens={"input": 1})])
    read(settings, log)
    bounds = {topic.name: 1 for topic in DERIVED}
    load = from_log.make_loader(log)
    assert from_log.recompute_totals(settings, log, load, NUMBER, 1, lambda: None)[1] == 2
    assert from_topic.read_totals(settings, log, NUMBER, bounds, lambda: None)[1] == 2
    assert read(settings, log)[2] == [0, 0]


def test_sums_have_all_their_digits() -> None:
    totals = Totals()
    totals.add_entry(Group("acme", "2026-01-01", "m", "input", "USD"), 0, 10**17 + 1, [10**29 + 1] * 4)
    assert totals.cost("USD", "billed_cost") == "100000000000000000.000000000001"
    totals.add_entry(Group("acme", "2026-01-01", "m", "input", "USD"), 0, 0, [-(10**29) - 2] * 4)
    assert totals.cost("USD", "billed_cost") == "-0.000000000001"
