"""`tally log copy`: what comes to stand elsewhere is the same log, whatever happens on the way."""

import json
import random
import signal
import subprocess
import sys
import time
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from kafka import TopicPartition
from kafka.admin import KafkaAdminClient

from ingest.controls.log import build_closing_records as closing_records
from ledger.errors import LogClosed, TallyError
from ledger.log import PARTITIONS, Draft, Log, Record, records
from ledger.log.copy import COPIED_TOPICS, compare_partition
from ledger.log.kafka.cluster import parse_cluster
from ledger.log.kafka.log import KafkaLog
from ledger.log.kafka.topics import apply_topics, begin_copy, create_recorded_topics
from ledger.log.sqlite.log import EmbeddedLog
from ledger.log.topics import DOCUMENTS, EVENTS, REJECTED
from ledger.settings import Settings
from tally.product.copy_log import Copied, copy_log, parse_place
from tests.tally.conftest import COMMAND, ROOT, home_environment, tally

HEADERS = {"organization": "acme", "channel": "tëst", "empty": ""}
DAY_MS = 86_400_000


@pytest.fixture
def url(kafka: str) -> str:
    return f"kafka://{kafka}/copy-{uuid.uuid4()}"


def filled(home: Path, size: int = 40, seed: int = 1) -> None:
    """A log whose clock was set back and forth, with records of no and of many bytes."""
    chance = random.Random(seed)
    begin = time.time() - 100 * 86_400
    with closing(EmbeddedLog(home, clock=lambda: begin + chance.uniform(0, 100 * 86_400))) as log:
        for number in range(size):
            value = chance.randbytes(chance.choice((0, 10, 20_000)))
            log.append(EVENTS, [Draft(chance.randrange(3), f"kéy {number}", HEADERS, value)])
        log.append(EVENTS, [Draft(4, "", {}, chance.randbytes(900_000)) for _ in range(3)])
        log.append(DOCUMENTS, [Draft(0, "digest", {}, b"\0\1")])
    with closing(EmbeddedLog(home, clock=lambda: time.time() - chance.uniform(0, 20 * 86_400))) as log:
        # A broker that looks for what has had its 30 days may take away older ones meanwhile.
        log.append(REJECTED, [Draft(number % 2, "acme", HEADERS, b"no") for number in range(5)])


def everything(log: Log) -> list[Record]:
    found = [
        record
        for topic in COPIED_TOPICS
        for partition in range(topic.partitions)
        for record in records(log, topic, partition)
    ]
    return [record._replace(headers=dict(record.headers)) for record in found]


def copied(source: str, target: str) -> Copied:
    return copy_log(parse_place(source, "FROM"), parse_place(target, "TO"), lambda doing, total: lambda count: None)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    filled(tmp_path / "home")
    return tmp_path / "home"


def test_a_copy_is_the_same_log_and_goes_on(home: Path, url: str) -> None:
    done = copied(str(home), url)
    assert (done.difference, done.closed, done.went) == (None, True, url)
    ours, theirs = EmbeddedLog(home), KafkaLog(parse_cluster(url))
    there = everything(ours)
    assert done.copied == len(there) == 40 + 3 + 5 + 1 + PARTITIONS
    assert everything(theirs) == there
    assert sum(one.records for one in done.places) == len(there)
    last = [ours.last(EVENTS, partition) for partition in range(PARTITIONS)]
    assert all(one and json.loads(one.value)["data"]["body"] == {"moved_to": url} for one in last)

    for closed in (ours, EmbeddedLog(home)):
        with pytest.raises(LogClosed, match=f"it went to {url}; set TALLY_LOG"):
            closed.append(REJECTED, [Draft(0, "acme", {}, b"late")])
    assert everything(ours) == there

    before_ms = int(time.time() * 1000)
    more = [theirs.append(topic, [Draft(0, "acme", {}, b"on")])[0] for topic in COPIED_TOPICS]
    assert all(one.time_ms >= before_ms - 1000 for one in more), "the broker gives the time again"
    with pytest.raises(TallyError, match="came to stand at"):
        theirs.insert(EVENTS, [more[1]])
    assert apply_topics(parse_cluster(url)) == [], "all settings are as they should be"
    theirs.close()

    again = copied(str(home), url)
    assert (again.difference, again.copied) == (None, 0)
    assert [one.digest for one in again.places if one.topic is EVENTS] == [
        one.digest for one in done.places if one.topic is EVENTS
    ]


def test_a_backup_of_kafka_is_the_same_log_and_takes_what_is_new(home: Path, url: str, tmp_path: Path) -> None:
    copied(str(home), url)
    backup = tmp_path / "backup"
    for _ in range(2):
        with closing(KafkaLog(parse_cluster(url))) as theirs:
            theirs.append(EVENTS, [Draft(0, "acme", HEADERS, b"more")])
            done = copied(url, str(backup))
            assert (done.difference, done.closed) == (None, False)
            with closing(EmbeddedLog(backup)) as log:
                assert everything(log) == everything(theirs)
    with closing(EmbeddedLog(backup)) as log:
        (record,) = log.append(EVENTS, [Draft(0, "acme", {}, b"it is a log of its own")])
        assert record.time_ms > time.time() * 1000 - DAY_MS
    with closing(KafkaLog(parse_cluster(url))) as theirs:
        theirs.append(EVENTS, [Draft(0, "acme", {}, b"and so is that")])
    with pytest.raises(TallyError, match=f"holds another log than .*offset {record.offset} is "):
        copied(url, str(backup))


def test_what_had_its_days_on_kafka_is_left_out(home: Path, url: str, tmp_path: Path) -> None:
    """As if two of three records of the first partition were deleted there after the copy."""
    copied(str(home), url)
    with KafkaAdminClient(**parse_cluster(url).client()) as admin:
        admin.delete_records({TopicPartition(parse_cluster(url).topic(REJECTED), 0): 2})
    again = copied(str(home), url)
    assert again.difference is None
    assert [one.gone for one in again.places if one.topic is REJECTED][:2] == [2, 0]
    copied(url, str(tmp_path / "backup"))
    with closing(EmbeddedLog(tmp_path / "backup")) as log:
        assert [one.offset for one in records(log, REJECTED, 0)] == [2]
    with pytest.raises(TallyError, match=r"has no records before offset 2 of tally.rejected, partition 0"):
        copied(str(tmp_path / "backup"), f"{url}-again")


def test_a_copy_into_topics_that_were_applied_before(home: Path, url: str) -> None:
    apply_topics(parse_cluster(url))
    assert copied(str(home), url).difference is None


def test_what_differs_is_refused_and_nothing_is_closed(home: Path, url: str, tmp_path: Path) -> None:
    filled(tmp_path / "other", seed=2)
    copied(str(tmp_path / "other"), url)
    with pytest.raises(TallyError, match=r"holds another log than .* tally.events, partition \d+, offset 0 is "):
        copied(str(home), url)
    assert EmbeddedLog(home).went() is None
    assert EmbeddedLog(home).append(EVENTS, [Draft(0, "acme", {}, b"open")])


def test_what_goes_on_by_itself_before_all_is_there_is_refused(home: Path, url: str) -> None:
    create_recorded_topics(parse_cluster(url))
    begin_copy(parse_cluster(url))
    with closing(EmbeddedLog(home)) as ours, closing(KafkaLog(parse_cluster(url))) as theirs:
        theirs.insert(DOCUMENTS, list(records(ours, DOCUMENTS, 0)))
        theirs.append(DOCUMENTS, [Draft(0, "another", {}, b"too early")])
        with pytest.raises(TallyError, match=r"goes on by itself in tally.documents, partition 0, at offset 1"):
            copied(str(home), url)
        assert ours.went() is None


def test_a_log_that_went_is_not_copied_to_another_place(home: Path, url: str) -> None:
    copied(str(home), url)
    with pytest.raises(TallyError, match=f"moved to {url}, and may have grown there"):
        copied(str(home), f"{url}-other")


@pytest.mark.parametrize(
    ("source", "target", "sentence"),
    [
        ("home", "other", "both folders"),
        ("kafka://a/one", "kafka://a/two", "both on Kafka"),
        ("postgres://me:secret@a", "home", "FROM is postgres://…@a: it has the form kafka://"),
        ("home", "kafka://a?acks=0", "TO has the option 'acks'"),
        ("nowhere", "kafka://127.0.0.1:1/x", "No log in nowhere"),
    ],
)
def test_places_that_do_not_serve_are_told(tmp_path: Path, source: str, target: str, sentence: str) -> None:
    done = tally("log", "copy", source, target, TALLY_HOME=str(tmp_path))
    assert done.returncode == 2 and sentence in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr
    assert "secret" not in done.stderr


def test_a_difference_is_found_wherever_it_stands(tmp_path: Path) -> None:
    """Of every field of a record, and where one lacks or is too many."""
    filled(tmp_path / "one")
    with closing(EmbeddedLog(tmp_path / "one")) as ours:
        some = list(records(ours, EVENTS, 0))
        assert len(some) > 5
        changes: list[dict[str, Any]] = [
            {"time_ms": some[3].time_ms + 1}, {"key": "other"}, {"headers": {}}, {"value": some[3].value + b" "},
        ]  # fmt: skip
        for number, change in enumerate(changes):
            with closing(EmbeddedLog(tmp_path / f"other{number}")) as theirs:
                theirs.insert(EVENTS, [*some[:3], some[3]._replace(**change), *some[4:]])
                assert "partition 0, offset 3 is " in str(
                    compare_partition(ours, theirs, EVENTS, 0, len(some)).difference
                )
        with closing(EmbeddedLog(tmp_path / "short")) as theirs:
            theirs.insert(EVENTS, some[:-1])
            for first, second in ((ours, theirs), (theirs, ours)):
                found = compare_partition(first, second, EVENTS, 0, len(some))
                assert f"offset {len(some) - 1} is " in str(found.difference) and "nothing" in str(found.difference)
            with pytest.raises(TallyError, match="somebody else appends there"):
                theirs.insert(EVENTS, [some[0]])


def test_writers_are_refused_from_the_closing_record_on(tmp_path: Path) -> None:
    """While others write, one closes: whatever was acknowledged stands before the last record."""
    writer = f"""
from pathlib import Path
from ledger.log import Draft
from ledger.log.sqlite.log import EmbeddedLog
from ledger.log.topics import EVENTS
log = EmbeddedLog(Path({str(tmp_path)!r}))
try:
    for number in range(100_000):
        print(log.append(EVENTS, [Draft(0, "acme", {{}}, b"x")])[0].offset, flush=True)
except Exception as error:
    print(type(error).__name__, flush=True)
"""
    environment = home_environment({})
    writers = [
        subprocess.Popen([sys.executable, "-c", writer], stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT)
        for _ in range(2)
    ]
    with closing(EmbeddedLog(tmp_path)) as log:
        while log.end(EVENTS, 0) < 20:
            time.sleep(0.01)
        log.close_with(EVENTS, closing_records(Settings(home=tmp_path), "kafka://there/x"), "kafka://there/x")
        said = [process.communicate(timeout=60)[0].split() for process in writers]
        assert [words.pop() for words in said] == ["LogClosed", "LogClosed"]
        assert sorted(int(word) for words in said for word in words) == list(range(log.end(EVENTS, 0) - 1))
        last = log.last(EVENTS, 0)
        assert last and json.loads(last.value)["data"]["control"] == "log.closed"


@pytest.mark.long
@pytest.mark.parametrize("seed", [7, *range(20, 26)])
def test_a_copy_that_is_killed_goes_on(tmp_path: Path, url: str, seed: int) -> None:
    """At random moments, seen by how much has arrived, and where it matters; then it ends by itself, and is the same
    log."""
    chance = random.Random(seed)
    home = tmp_path / "home"
    filled(home, 3_000, seed)
    total = sum(sum(EmbeddedLog(home).ends(topic)) for topic in COPIED_TOPICS)
    moments = sorted(chance.randrange(total) for _ in range(3))
    print(f"seed {seed}: killed at {moments} of {total} records")
    cluster = parse_cluster(url)
    create_recorded_topics(cluster)
    kills = 0
    with closing(KafkaLog(cluster)) as theirs:
        for moment in moments:
            with copying(home, url) as process:
                while process.poll() is None and arrived(theirs) < moment:
                    time.sleep(chance.random() / 100)
                time.sleep(chance.random() / 20)
                kills += process.poll() is None
                process.kill()
        assert kills > 0
        for fault in ("copy.closed:1", "copy.proved:1"):
            with copying(home, url, TALLY_FAULT=fault) as process:
                process.communicate(timeout=120)
                assert process.returncode == -signal.SIGKILL
            assert EmbeddedLog(home).went() == url
        with copying(home, url) as process:
            told, errors = process.communicate(timeout=120)
            assert process.returncode == 0, errors
        assert json.loads(told)["difference"] is None
        assert everything(theirs) == everything(EmbeddedLog(home))
    assert apply_topics(cluster) == []


def copying(home: Path, url: str, **more: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*COMMAND, "log", "copy", str(home), url, "--json"], cwd=ROOT, text=True,
        env=home_environment({"TALLY_HOME": str(home)} | more), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def arrived(log: Log) -> int:
    return sum(sum(log.ends(topic)) for topic in COPIED_TOPICS)


def facts(*arguments: str, **environment: str) -> Any:
    done = tally(*arguments, "--json", **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_home_moves_to_kafka_and_keeps_its_warehouse(tmp_path: Path, url: str) -> None:
    """As the help of the command says it, by the commands."""
    here = {"TALLY_HOME": str(tmp_path / "home"), "TALLY_LOG": ""}
    there = here | {"TALLY_LOG": url}
    file = tmp_path / "calls.csv"
    lines = [f"2024-11-16 18:{n // 60:02}:{n % 60:02}.9799600,{1000 + n},{n % 50}" for n in range(600)]
    options = ("--set", "model=gpt-4o", "--set", "team=search")
    file.write_text("\n".join(["TIMESTAMP,ContextTokens,GeneratedTokens", *lines[:300]]))
    assert facts("import", str(file), *options, **here)["counted"] == 300
    facts("budget", "set", "--scope", "team=search", "--limit", "1", "--window", "1h", "--reason", "test", **here)

    moved = tally("log", "copy", str(tmp_path / "home"), url, **here)
    assert moved.returncode == 0, moved.stderr
    assert f"is closed. Continue with its TALLY_HOME and: export TALLY_LOG={url}" in moved.stdout
    assert f"({PARTITIONS + 1} not folded in" in moved.stdout
    file.write_text("\n".join(["TIMESTAMP,ContextTokens,GeneratedTokens", *lines]))
    late = tally("import", str(file), *options, **here)
    assert late.returncode == 2 and f"it went to {url}; set TALLY_LOG" in late.stderr, late.stderr
    assert len(late.stderr.splitlines()) == 1

    closed = facts("verify", **here)
    assert (closed["difference"], closed["behind"]) == (None, 0)
    assert closed["decisions_of_people"] == PARTITIONS + 2, "the book, the budget, and what closed each partition"
    proved = facts("log", "copy", str(tmp_path / "home"), url, **here)
    assert (proved["difference"], proved["copied"]) == (None, 0)
    assert proved["derived"]["folded"] == proved["recorded"] > 2 * PARTITIONS

    after = facts("verify", **there)
    assert (after["difference"], after["behind"], after["cost"]) == (None, 0, closed["cost"])
    more = facts("import", str(file), *options, **there)
    assert (more["counted"], more["duplicate"]) == (300, 300)
    last = facts("verify", **there)
    assert (last["difference"], last["behind"], last["events"]["counted"]) == (None, 0, 600)
