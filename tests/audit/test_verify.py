"""Verify proves a ledger that is whole, and fails on every kind of harm that is done to it."""

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import zstandard
from clickhouse_connect.driver.client import Client

from audit.verify import verified_prefix, workers
from audit.verify.derived_rows import COLUMNS
from audit.verify.report import render_report
from audit.verify.row_checksums import ATTRIBUTES, DIMENSIONS
from audit.verify.verify import Report, verify
from ledger.errors import LogDamaged, TallyError
from ledger.log import partition_of
from ledger.log.sqlite.log import EmbeddedLog
from ledger.log.topics import DECISIONS, ENTRIES, EVENTS, Topic
from ledger.settings import Settings
from tallystick import ANY_EVENT
from tests.dashboards.feed import ORGANIZATION, Feed, budget, control, corrected, doubtful, history
from tests.dashboards.server import warehouse
from warehouse.client import connect

PARTITION = partition_of(ORGANIZATION)
CALLS = 3_000
END = datetime(2026, 1, 5, 12, tzinfo=UTC)
ONE = "(offset, seq, class) = (SELECT offset, seq, class FROM tally.entries ORDER BY offset DESC LIMIT 1)"
EVENT = "(offset, seq) = (SELECT max((offset, seq)) FROM tally.events)"
TABLES = ("events", "entries", "records", "decisions", "alerts")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A ledger with every outcome. Nobody may harm it."""
    with warehouse(tmp_path_factory.mktemp("whole")) as settings:
        feed = Feed(settings)
        feed.begin()
        feed.add(history(5, CALLS, END), refused=3)
        feed.add(corrected(END))
        feed.add([budget("b3", "team", "support", "0.1", window_s=3600)])
        feed.add(doubtful(datetime.now(UTC)), channel="import", refused=2)
        feed.add([b"no event"])
        feed.add(rights())
        feed.close()
        yield settings


def rights() -> list[bytes]:
    """A grant, what is asked, leased and given back of it, and a call that settles nothing."""
    limit = {"meter": "calls", "amount": "6", "thresholds": [10]}
    return [
        control("grant", "grant.created", grant="vault", dimension="team", scope="vault", limits=[limit]),
        control("wider", "grant.extended", grant="vault", limits=[limit | {"amount": "5"}]),
        request("a1", "admission", team="vault", model="gpt-4o", calls=2),
        request("a2", "admission", team="vault", model="gpt-4o", calls=5),
        request("r1", "admission", action="release", admission="a1"),
        request("l1", "lease", team="vault", calls=9),
        request("l2", "lease", team="vault", tokens=9),
        request("r2", "lease", action="return", lease="l1", calls=1),
    ]


def request(id: str, kind: str, **data: Any) -> bytes:
    event = {"id": id, "source": "gateway", "time": datetime.now(UTC).isoformat(), "type": f"tallystick.{kind}.v1"}
    return ANY_EVENT.validate_json(json.dumps(event | {"data": data})).canonical()


@pytest.fixture
def asking(whole: Settings) -> Client:
    return connect(whole)


@pytest.fixture
def client(asking: Client) -> Iterator[Client]:
    """A client that may do harm: the tables are as they were afterwards."""
    for table in TABLES:
        asking.command(f"CREATE TABLE tally.kept_{table} AS tally.{table}")
        asking.command(f"INSERT INTO tally.kept_{table} SELECT * FROM tally.{table}")
    yield asking
    for table in TABLES:
        asking.command(f"EXCHANGE TABLES tally.kept_{table} AND tally.{table}")
        asking.command(f"DROP TABLE tally.kept_{table}")


@pytest.fixture
def copied(whole: Settings, tmp_path: Path) -> Settings:
    """A copy of the log whose files may be harmed, beside the same warehouse."""
    for name in ("log", "consumers", "run"):
        shutil.copytree(whole.home / name, tmp_path / name)
    return Settings(home=tmp_path)


def verified(settings: Settings, client: Client) -> Report:
    log = EmbeddedLog(settings.home)
    try:
        return verify(settings, log, client)
    finally:
        log.close()


def differs(settings: Settings, client: Client) -> str:
    difference = verified(settings, client).difference
    assert difference is not None
    return str(difference["what"])


def test_a_whole_ledger_is_proved_three_times(whole: Settings, asking: Client) -> None:
    report = verified(whole, asking)
    told = report.as_json()
    assert told["difference"] is None and told["behind"] == 0
    assert told["events"] == {
        "received": CALLS + 24, "accepted": CALLS + 19, "rejected": 5,
        "counted": CALLS + 14, "duplicate": 1, "conflict": 1, "quarantined": 2, "held": 1,
    }  # fmt: skip
    assert set(told["tokens"]) == {"input", "cache_read", "output"}
    for figures in (*told["tokens"].values(), told["cost"]["USD"], told["list_cost"]["USD"]):
        assert set(figures) == {"log", "topic", "warehouse"} and len(set(figures.values())) == 1
    assert Decimal(told["cost"]["USD"]["log"]) < Decimal(told["list_cost"]["USD"]["log"]), "customers' own keys"
    assert json.loads((whole.home / "consumers" / "verify.json").read_text())["events"] == told["events"]
    assert render_report(report)
    assert told["decisions"] == {
        "admission.decided": 2, "admission.released": 1, "control.applied": 4, "control.ineffective": 1,
        "lease.granted": 1, "lease.refused": 1, "lease.returned": 1, "threshold.crossed": 1,
    }  # fmt: skip
    assert any("admission.decided 2" in str(line) for line in render_report(report).renderables)


def test_processes_say_the_same(whole: Settings, asking: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    report = verified(whole, asking).as_json()
    monkeypatch.setattr(workers, "MIN_BYTES", 1)
    verified_prefix.discard_prefixes(whole)
    assert verified(whole, asking).as_json() == report | {"recomputed": report["records"]}
    again = verified(whole, asking).as_json()
    assert again == report | {"recomputed": 0}


def test_an_error_in_a_process_is_a_sentence(copied: Settings, asking: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "MIN_BYTES", 1)
    with sqlite3.connect(copied.home / "log" / "recorded.db") as db:
        db.execute("DELETE FROM tally_documents")
    db.close()
    with pytest.raises(LogDamaged, match="does not hold"):
        verified(copied, asking)


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        (f"ALTER TABLE tally.entries UPDATE quantity = quantity + 1 WHERE {ONE}", "contents of entries"),
        (f"ALTER TABLE tally.entries UPDATE billed_cost = 1e-12 WHERE {ONE}", "contents of entries"),
        (f"ALTER TABLE tally.entries UPDATE team = 'other' WHERE {ONE}", "contents of entries"),
        (f"ALTER TABLE tally.entries UPDATE model_resolved = 'other' WHERE {ONE}", "lines"),
        (f"ALTER TABLE tally.entries UPDATE currency = 'EUR' WHERE {ONE}", "lines"),
        (f"DELETE FROM tally.entries WHERE {ONE}", "lines"),
        ("ALTER TABLE tally.entries UPDATE original_index = 9 WHERE quantity = -400", "contents of entries"),
        ("DELETE FROM tally.events WHERE outcome = 'reversal'", "inferences reversal"),
        (f"INSERT INTO tally.entries SELECT * FROM tally.entries WHERE {ONE}", "lines"),
        ("INSERT INTO tally.entries SELECT * REPLACE (time - toIntervalDay(1) AS time) FROM tally.entries"
         f" WHERE {ONE}", "lines"),
        (f"ALTER TABLE tally.events UPDATE outcome = 'duplicate' WHERE {EVENT}", "events duplicate"),
        (f"ALTER TABLE tally.events UPDATE reason = 'other' WHERE {EVENT}", "contents of events"),
        (f"DELETE FROM tally.events WHERE {EVENT}", "events accepted"),
        (f"INSERT INTO tally.events SELECT * FROM tally.events WHERE {EVENT}", "events accepted"),
        ("DELETE FROM tally.records WHERE refused > 0", "events received"),
        ("ALTER TABLE tally.records UPDATE channel = 'other' WHERE refused > 0", "contents of records"),
        (f"ALTER TABLE tally.events UPDATE latency_ms = 7777777 WHERE {EVENT}", "contents of events"),
        (f"ALTER TABLE tally.events UPDATE agent_version = '2' WHERE {EVENT}", "contents of events"),
        (f"ALTER TABLE tally.events UPDATE tags = map('a', 'b') WHERE {EVENT}", "contents of events"),
        (f"ALTER TABLE tally.events UPDATE detail = 'other' WHERE {EVENT}", "contents of events"),
        (f"ALTER TABLE tally.events UPDATE observation = 'other' WHERE {EVENT}", "contents of events"),
        ("ALTER TABLE tally.decisions UPDATE limit = limit + 1e-12 WHERE decision = 'control.applied'",
         "contents of decisions"),
        ("ALTER TABLE tally.decisions UPDATE scope = 'other' WHERE decision = 'control.applied'",
         "contents of decisions"),
        ("DELETE FROM tally.decisions WHERE decision = 'control.applied'", "decisions"),
        ("ALTER TABLE tally.alerts UPDATE repeats = repeats + 1 WHERE 1", "contents of alerts"),
        ("ALTER TABLE tally.alerts UPDATE evidence = arrayPopBack(evidence) WHERE 1", "contents of alerts"),
        ("ALTER TABLE tally.alerts UPDATE spent = map('USD', toDecimal128(1, 12)) WHERE 1", "contents of alerts"),
    ],
)  # fmt: skip
def test_a_row_that_was_harmed(whole: Settings, client: Client, statement: str, what: str) -> None:
    """Below the verified position too."""
    assert verified(whole, client).difference is None
    client.command(statement, settings={"mutations_sync": 1, "lightweight_deletes_sync": 2})
    report = verified(whole, client)
    assert report.difference is not None
    assert report.recomputed == 0 or any(word in statement for word in ("decisions", "alerts", "detail", "observation"))
    assert (report.difference["what"], report.difference["where"]["organization"]) == (what, ORGANIZATION)


def test_a_row_without_figures_that_is_missing(whole: Settings, client: Client) -> None:
    client.command("DELETE FROM tally.records WHERE received = 0", settings={"lightweight_deletes_sync": 2})
    assert differs(whole, client) == "records"
    report = verified(whole, client)
    assert report.difference and report.difference["what"] == "records"
    assert report.recomputed > 0, "nothing is kept of what differs"


@pytest.mark.parametrize("place", ["offset + 1000 AS offset", "99 AS partition"])
def test_a_row_of_no_record(whole: Settings, client: Client, place: str) -> None:
    client.command(
        f"INSERT INTO tally.entries SELECT * REPLACE ({place}) FROM (SELECT * FROM tally.entries WHERE {ONE})"
    )
    assert differs(whole, client) == "row beyond the log"


@pytest.mark.parametrize("where", ["offset BETWEEN 5 AND 9", "offset >= 20"])
def test_a_batch_that_is_missing_in_the_middle_or_at_the_end(whole: Settings, client: Client, where: str) -> None:
    for table in ("events", "entries", "records"):
        client.command(f"DELETE FROM tally.{table} WHERE partition = {PARTITION} AND {where}")
    assert differs(whole, client) == "events accepted"


@pytest.mark.parametrize(
    ("before", "after", "what"),
    [
        (b'"quantity":', b'"quantity":1', "contents of entries"),
        (b'"billed_cost":"0.', b'"billed_cost":"1.', "contents of entries"),
        (b'"team":"search"', b'"team":"sEarch"', "contents of events"),
        (b'"class":"output"', b'"class":"input"', "lines"),
        (b'"outcome":"counted"', b'"outcome":"duplicate"', "events counted"),
        (b'"received":', b'"received":1', "events received"),
    ],
)
def test_an_entry_that_was_altered_on_its_topic(
    copied: Settings, asking: Client, before: bytes, after: bytes, what: str
) -> None:
    with records_of(copied, ENTRIES) as db:
        row, packed = db.execute("SELECT id, value FROM tally_entries WHERE id & 0xff = 10").fetchone()
        value = zstandard.decompress(packed)
        assert before in value
        packed = zstandard.compress(value.replace(before, after, 1))
        db.execute("UPDATE tally_entries SET value = ? WHERE id = ?", (packed, row))
    assert differs(copied, asking) == what


@pytest.mark.parametrize(
    ("before", "after", "name", "place"),
    [
        (b'"used":"', b'"used":"1', "threshold.crossed", {"field": "used"}),
        (b'"limit":"25', b'"limit":"26', "control.applied", {"field": "limit", "control_type": "budget.allocated"}),
        (b'\\"dimension\\":\\"team', b'\\"dimension\\":\\"user', "control.applied", {"field": "body"}),
        (b"control.ineffective", b"control.applied", "control.ineffective", {"control_type": "grant.extended"}),
        (b'\\"answer\\":\\"deny', b'\\"answer\\":\\"allow', "admission.decided", {"field": "answer"}),
        (b'\\"grants\\":[\\"vault', b'\\"grants\\":[\\"other', "admission.decided", {"field": "grants"}),
        (b'\\"released\\":true', b'\\"released\\":false', "admission.released", {"field": "released"}),
        (b'\\"amounts\\":{\\"calls\\":2', b'\\"amounts\\":{\\"calls\\":3', "lease.granted", {"field": "amounts"}),
        (b'\\"reason\\":\\"unmeasured', b'\\"reason\\":\\"limit', "lease.refused", {"field": "body.reason"}),
        (b"lease.returned", b"lease.expired", "lease.returned", {"field": ""}),
        (b'"event_id":"a2"', b'"event_id":"a3"', "admission.decided", {"field": "event_id"}),
    ],
)  # fmt: skip
def test_a_decision_that_was_altered_on_its_topic(
    copied: Settings, asking: Client, before: bytes, after: bytes, name: str, place: dict[str, str]
) -> None:
    """It is found by what the log decides, whatever the warehouse holds."""
    replace_decisions(copied, lambda value: value.replace(before, after, 1))
    difference = verified(copied, asking).difference
    assert difference is not None and difference["what"] == f"decision {name}"
    assert place.items() <= difference["where"].items() and "tally rebuild" in difference["way_out"]


def test_a_refusal_that_is_missing(copied: Settings, asking: Client) -> None:
    replace_decisions(copied, lambda value: b"\n".join(line for line in value.split(b"\n") if b'"a2"' not in line))
    difference = verified(copied, asking).difference
    assert difference and (difference["what"], difference["topic"]) == ("decision admission.decided", "missing")


def test_a_decision_that_the_log_does_not_make(copied: Settings, asking: Client) -> None:
    def double(value: bytes) -> bytes:
        return b"\n".join(line for line in value.split(b"\n") for _ in range(1 + (b"admission.released" in line)))

    replace_decisions(copied, double)
    difference = verified(copied, asking).difference
    assert difference and (difference["what"], difference["log"]) == ("decision admission.released", "none")


def replace_decisions(settings: Settings, replace: Callable[[bytes], bytes]) -> None:
    """Rewrite the records of the decisions' topic; at least one changes."""
    changed = 0
    with records_of(settings, DECISIONS) as db:
        for row, packed in db.execute("SELECT id, value FROM tally_decisions").fetchall():
            value = zstandard.decompress(packed)
            other = replace(value)
            changed += other != value
            db.execute("UPDATE tally_decisions SET value = ? WHERE id = ?", (zstandard.compress(other), row))
    assert changed


def test_a_record_that_is_missing_on_the_topic(copied: Settings, asking: Client) -> None:
    with records_of(copied, ENTRIES) as db:
        db.execute("DELETE FROM tally_entries WHERE id & 0xff = 10")
    assert verified(copied, asking).difference == {
        "what": "record", "where": {"topic": "tally.entries", "partition": str(PARTITION), "offset": "10"},
        "log": "stands", "topic": "missing", "warehouse": "",
    }  # fmt: skip


def test_a_record_that_stands_twice_at_the_end_of_the_topic(copied: Settings, asking: Client) -> None:
    with records_of(copied, ENTRIES) as db:
        last = f"id >> 40 = {PARTITION} ORDER BY id DESC LIMIT 1"
        db.execute(
            f"INSERT INTO tally_entries SELECT id + 1, time_ms, key, headers, value FROM tally_entries WHERE {last}"
        )
    difference = verified(copied, asking).difference
    assert difference and (difference["what"], difference["topic"]) == ("record", "stands again")


def test_a_record_of_the_log_that_was_altered(copied: Settings, asking: Client) -> None:
    with records_of(copied, EVENTS) as db:
        db.execute("UPDATE tally_events SET time_ms = time_ms + 1 WHERE id & 0xff = 10")
    assert differs(copied, asking) == "digest"


def test_what_is_not_yet_stored_is_behind_and_no_difference(copied: Settings, asking: Client) -> None:
    path = copied.home / "consumers" / "sink.json"
    told = json.loads(path.read_text())
    told["tally.entries"][str(PARTITION)] -= 4
    path.write_text(json.dumps(told))
    report = verified(copied, asking)
    assert (report.difference, report.behind) == (None, 4)


def test_the_list_of_columns_is_that_of_the_tables(asking: Client) -> None:
    for table in ("decisions", "alerts"):
        names = [row[0] for row in asking.query(f"DESCRIBE TABLE tally.{table}").result_rows]
        assert [name.replace("accepted_at", "accepted_ms") for name in names] == list(COLUMNS[table])
    columns = {row[0] for row in asking.query("DESCRIBE TABLE tally.events").result_rows}
    assert columns - set(DIMENSIONS) - set(ATTRIBUTES) == {
        "partition", "offset", "seq", "event_index", "accepted_at", "organization", "outcome", "kind", "source", "id",
        "time", "reason", "detail", "original_offset", "original_index", "billing_month", "pricing", "unpriced_reason",
        "currency", "price_document", "price_id", "tier_basis", "greatest_unpriced_cost", "unknown_tokens",
        "saved_cost", "observation",
    }  # fmt: skip


@contextmanager
def records_of(settings: Settings, topic: Topic) -> Iterator[sqlite3.Connection]:
    name = "recorded" if topic.origin == "recorded" else "derived"
    db = sqlite3.connect(settings.home / "log" / f"{name}.db")
    with db:
        yield db
    db.close()


@pytest.mark.parametrize("content", [b"no json", b"[]", b"{}", b'{"outcome": 1}', b"\xff", b'{"outcome": "counted"}'])
def test_a_derived_record_that_is_no_more_is_a_difference(copied: Settings, asking: Client, content: bytes) -> None:
    with records_of(copied, ENTRIES) as db:
        db.execute("UPDATE tally_entries SET value = ? WHERE id = (SELECT min(id) FROM tally_entries)",
                   (zstandard.compress(content),))  # fmt: skip
    assert "unreadable record" in differs(copied, asking)


@pytest.mark.parametrize(
    ("topic", "change"),
    [
        (EVENTS, "value = x'00'"), (EVENTS, "value = NULL"), (EVENTS, "headers = '{'"), (EVENTS, "headers = '[]'"),
        (EVENTS, "time_ms = 'x'"), (EVENTS, "key = NULL"), (ENTRIES, "value = 7"), (ENTRIES, "headers = NULL"),
    ],
)  # fmt: skip
def test_a_record_whose_columns_are_no_more_is_a_sentence(
    copied: Settings, asking: Client, topic: Topic, change: str
) -> None:
    name = topic.name.replace(".", "_")
    with records_of(copied, topic) as db:
        db.execute(f"UPDATE {name} SET {change} WHERE id = (SELECT min(id) FROM {name})")
    with pytest.raises(LogDamaged, match="cannot be read"):
        verified(copied, asking)


@pytest.mark.parametrize("name", ["recorded", "derived"])
def test_a_damaged_page_is_a_sentence(copied: Settings, asking: Client, name: str) -> None:
    path = copied.home / "log" / f"{name}.db"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    content = bytearray(path.read_bytes())
    for page in range(3, len(content) // 4096):
        content[page * 4096 : page * 4096 + 64] = b"?" * 64
    path.write_bytes(content)
    with pytest.raises(TallyError, match=f"{name}.db is damaged"):
        verified(copied, asking)
