"""The state that ``tally price explain`` names is that of the folds, and each command that it names has an effect."""

import json
import random
import shlex
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ingest.intake.batch import Envelope
from ledger.log import Position, partition_of, records
from ledger.log.documents import store_document
from ledger.log.sqlite.log import EmbeddedLog
from ledger.log.topics import EVENTS
from ledger.settings import Settings
from streams.embedded.store import Store
from streams.embedded.worker import Partition
from streams.folds.chain import fold_record
from streams.folds.event import hash_identity, parse_record
from streams.folds.identity import EntryStatus, Identities
from streams.folds.state import State
from streams.runtime import read_catalogues, read_originals
from tally.cli.app import app
from tally.product.events.ways_out import list_ways_out
from tally.product.price_explanation import explain_event
from tests.streams.build import DOCUMENTS, adopt, control

HOUR = timedelta(hours=1)
NAMES = {
    EntryStatus.OWN: "counted", EntryStatus.ELSEWHERE: "counted", EntryStatus.REVERSED: "reversed",
    EntryStatus.QUARANTINED: "quarantined", EntryStatus.BOUNDED: "quarantined",
    EntryStatus.BOUNDED_AHEAD: "quarantined", EntryStatus.HELD: "held",
}  # fmt: skip


class Ledger:
    """A log of one organization whose clock is set, and its folds."""

    def __init__(self, home: Path, now: datetime) -> None:
        self.settings, self.now = Settings(home=home, organization="acme"), now
        self.log = EmbeddedLog(home, clock=lambda: self.now.timestamp())
        self.partition = partition_of("acme")
        for digest, packed in DOCUMENTS.items():
            store_document(self.log, digest, packed)
        self.append(adopt())

    def append(self, *lines: bytes) -> Position:
        draft = Envelope("acme", "test", "test").make_draft(b"\n".join(lines))
        (record,) = self.log.append(EVENTS, [draft])
        return Position(record.partition, record.offset, 0)

    def fold(self) -> None:
        store = Store(self.settings.home)
        partition = Partition(self.partition, self.log, store, read_catalogues(self.log))
        while partition.step():
            pass
        store.close()

    def event(self, id: str, kind: str, ahead: timedelta = timedelta(0), **data: Any) -> bytes:
        content = {"source": "app", "id": id, "time": (self.now + ahead).isoformat(), "type": f"tallystick.{kind}.v1"}
        return json.dumps(content | {"data": data}).encode()

    def call(self, id: str, ahead: timedelta = timedelta(0), **data: Any) -> bytes:
        return self.event(id, "inference", ahead, **{"provider": "p", "model": "m1", "tokens": {"input": 5}} | data)

    def correction(self, id: str, target: str, action: str, ahead: timedelta = timedelta(0), **data: Any) -> bytes:
        of = {"source": "app", "id": target}
        return self.event(id, "correction", ahead, of=of, action=action, reason="a test", **data)

    def explain(self, name: str) -> dict[str, Any]:
        facts = explain_event(self.log, name, "acme")
        return facts | {"ways_out": list_ways_out(self.log, self.settings, facts)}

    def read_states(self) -> Identities:
        """Fold the log anew in memory, and return what the folds know of each event."""
        state, identities = State(), Identities()
        documents, originals = read_catalogues(self.log), read_originals(self.log, self.partition)
        for record in records(self.log, EVENTS, self.partition):
            fold_record(parse_record(record), state, identities, documents, originals)
            state.take_changes()
        return identities


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    monkeypatch.setenv("TALLY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TALLY_ORGANIZATION", "acme")
    ledger = Ledger(tmp_path / "home", datetime.now(UTC))
    with closing(ledger.log):
        yield ledger


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, (arguments, result.output, result.exception)
    return result.output


def explain_text(name: str) -> str:
    return run("price", "explain", name)


def check_commands(facts: dict[str, Any]) -> None:
    """Run each command that names no place for a value, without appending anything."""
    for command, _ in facts["ways_out"]:
        words = shlex.split(command or "")
        if words[:2] == ["tally", "correct"] and not any("=VALUE" in word or "CLASS=" in word for word in words):
            run(*words[1:], "--dry-run")


def _draw_line(chooser: random.Random, ledger: Ledger, number: int, places: dict[str, list[Position]]) -> bytes:
    """Draw a line about one of several events: a call of some content, or a correction of what came before."""
    id = f"e{chooser.randrange(12)}"
    ahead = HOUR * chooser.choice([0, 0, 0, 1])
    action = chooser.choice([None, None, "reversal", "reversal", "release", "replacement", "acceptance"])
    if action is not None:
        extra: dict[str, Any] = {}
        if action == "replacement":
            extra["replacement"] = {"provider": "p", "model": "m1", "tokens": {"input": 9}}
        if action == "acceptance":
            place = chooser.choice(places.get(id) or [Position(0, 0, 0)])
            extra["accepted"] = {"offset": place.offset, "event_index": place.event_index}
        return ledger.correction(f"fix-{number}", id, action, ahead, **extra)
    data: dict[str, Any] = chooser.choice([
        {}, {}, {"tokens": {"input": chooser.randrange(4)}}, {"revision": chooser.randrange(3)},
        {"reported_tokens": {"input": 6}}, {"model": 7},
    ])  # fmt: skip
    return ledger.call(id, ahead, **data)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("passed", [timedelta(0), 2 * HOUR], ids=["ahead", "due"])
def test_the_state_is_that_of_the_folds(ledger: Ledger, seed: int, passed: timedelta) -> None:
    chooser = random.Random(seed)
    ledger.now -= passed
    places: dict[str, list[Position]] = {}
    for number in range(60):
        line = _draw_line(chooser, ledger, number, places)
        places.setdefault(json.loads(line)["id"], []).append(ledger.append(line))
    ledger.now += passed
    ledger.append(ledger.call("last"))
    ledger.fold()
    identities = ledger.read_states()
    names = {name: identities.load_version(hash_identity("acme", "app", name)) for name in places if name[0] == "e"}
    assert len(names) > 6
    for name, version in names.items():
        assert version is not None
        if version.status not in NAMES:
            continue
        facts = ledger.explain(f"app/{name}")
        assert facts["summary"]["state"] == NAMES[EntryStatus(version.status)], name
        assert ("step" in facts["summary"]) == (version.entry_position is not None), name
        assert facts["ways_out"] or facts["summary"]["state"] == "counted", name
        check_commands(facts)


def test_a_held_event_says_when_it_counts(ledger: Ledger) -> None:
    ledger.append(ledger.call("a", HOUR), ledger.call("b", HOUR))
    ledger.append(ledger.correction("fix", "b", "reversal"))
    ledger.append(ledger.correction("again", "b", "reversal"), ledger.correction("ahead", "a", "release", HOUR))
    ledger.fold()
    due = f"{ledger.now + HOUR - timedelta(seconds=300):%Y-%m-%d %H:%M:%S} UTC"
    text = explain_text("a")
    assert "costs nothing" not in text and "so it is in no sum yet" in text
    assert f"counted    as soon as the log's time reaches {due}, by the prices in force then" in text
    assert "way out    tally correct app/a --release --reason" in text
    assert f"correction app/ahead (release, a test): held: it applies when the log's time reaches {due}" in text
    text = explain_text("b")
    position = Position(ledger.partition, 2, 0)
    assert f"taken back at {position} while it was held by the correction app/fix (a test)" in text
    assert f"from {due} on it falls due, and has no entry then" in text
    assert "tally correct app/b --set provider=p --reason" in text
    assert "(reversal, a test): changed nothing: the event is reversed already" in text
    ledger.now += 2 * HOUR
    ledger.append(ledger.call("last"))
    ledger.fold()
    assert "in force   release at" in explain_text("a") and "taken back at" in explain_text("b")


def test_what_is_quarantined_says_why_and_the_way_out(ledger: Ledger) -> None:
    ledger.append(
        ledger.call("totals", reported_tokens={"input": 6}), ledger.call("field", model=7),
        ledger.event("control", "control", control="budget.allocated"), b"{no json",
    )  # fmt: skip
    ledger.fold()
    text = explain_text("totals")
    assert "in no sum but that of unknown spend: token_totals_mismatch: input: classes sum to 5" in text
    assert "app/totals --release" in text and "app/totals --set tokens.CLASS=N" in text
    text = explain_text("field")
    assert "in no sum: schema_mismatch: model is not" in text and "app/field --set model=VALUE" in text
    assert "--release" not in text
    assert "send it again, put right, under another id" in explain_text("control")
    text = explain_text(f"{ledger.partition}-1-3")
    assert "a line that is no event" in text and "quarantined" in text and "malformed" in text
    assert f"tally log events --partition {ledger.partition} --offset 1 --index 3 --limit 1" in text


def test_a_line_is_named_by_its_position_in_any_form(ledger: Ledger) -> None:
    other = ledger.call("a", tokens={"input": 7})
    ledger.append(ledger.call("a", revision=0), other, other, ledger.call("a", tokens={"input": 8}))
    ledger.append(ledger.correction("fix", "a", "acceptance", accepted={"offset": 1, "event_index": 1}))
    ledger.append(ledger.call("a", revision=0))
    ledger.fold()
    partition = ledger.partition
    for name in (f"{partition}-1-1", f"{partition}:1:1"):
        text = explain_text(name)
        assert f"conflict: has the identity of {partition}-1-0 and other content, so it does not count" in text
        assert f"app/a --accept {partition}-1-3" in text and f"--accept {partition}-1-2" not in text
    assert ledger.explain("1:1")["id"] == ledger.explain("1-1")["id"] == "a", "in the partition of the organization"
    text = explain_text(f"{partition}-2-0")
    assert "corrects   app/a: `tally price explain app/a` has its price" in text
    assert "effect     acceptance, applied" in text
    for name in (f"{partition}-99-0", f"{partition}-1-9", "16-0-0", "a-b-c"):
        result = CliRunner().invoke(app, ["price", "explain", name])
        assert result.exit_code == 2 and "SOURCE/ID" in result.output and "call_key" in result.output


def test_an_event_is_corrected_by_its_position(ledger: Ledger) -> None:
    position = ledger.append(ledger.call("a"), ledger.call("b"))._replace(event_index=1)
    ledger.fold()
    for form in (f"{position}", f"{position.offset}-1"):
        facts = json.loads(run("correct", form, "--org", "acme", "--reverse", "--reason", "x", "--dry-run", "--json"))
        assert facts["id"] == "b"


def test_a_correction_says_what_it_changed(ledger: Ledger) -> None:
    ledger.append(ledger.correction("early", "a", "reversal"), ledger.call("a"))
    ledger.append(ledger.correction("fix", "a", "reversal"), ledger.correction("again", "a", "reversal"))
    ledger.append(ledger.correction("chain", "fix", "reversal"))
    ledger.fold()
    obstacles = {
        "early": "no event before it has this identity", "again": "the event is reversed already",
        "chain": "it names a correction",
    }  # fmt: skip
    for name, obstacle in obstacles.items():
        text = explain_text(name)
        assert f"effect     reversal, changed nothing: {obstacle}" in text and "has its price" not in text
    assert "has its price\n  effect     reversal, applied\n" in explain_text("fix")


def test_duplicates_say_that_they_count_once(ledger: Ledger) -> None:
    line = ledger.call("a", revision=2)
    ledger.append(line, line, ledger.call("a", revision=1))
    ledger.fold()
    partition = ledger.partition
    repeat, former = explain_text(f"{partition}-1-1"), explain_text(f"{partition}-1-2")
    assert f"duplicate: repeats {partition}-1-0, which has the same content: one call, counted once" in repeat
    assert f"duplicate: has a lower revision than {partition}-1-0" in former and "a greater revision" in former
    assert "way out" not in repeat


def test_what_no_correction_can_name_says_what_to_do(ledger: Ledger) -> None:
    of = {"source": "app", "id": "a"}
    held = ledger.event("seen", "observation", HOUR, of=of, metric="quality", value="1")
    ledger.append(
        held, control("month", "period.closed", month="2026-01"), control("month", "period.closed", month="2025-12")
    )
    ledger.fold()
    text = explain_text("seen")
    assert "applies    as soon as the log's time reaches" in text and "only calls can be released" in text
    assert "counted: an event of kind control has no price" in explain_text("month")
    assert "only a conflict of calls can be accepted" in explain_text("month")


def test_a_held_revision_leaves_nothing_in_the_ledger(ledger: Ledger) -> None:
    """The line of the entry that it takes back stands behind its own."""
    ledger.append(ledger.call("a"), ledger.call("a", HOUR, revision=1))
    ledger.fold()
    assert ledger.explain("a")["summary"]["state"] == "held"
    facts = json.loads(run("correct", "a", "--reverse", "--reason", "x", "--dry-run", "--json"))
    assert facts["before"]["absence"].startswith("held until") and facts["after"]["absence"] == "reversed"


def test_a_correction_that_is_held_takes_nothing_back_yet(ledger: Ledger) -> None:
    ledger.append(ledger.call("a", 2 * HOUR), ledger.correction("fix", "a", "reversal", HOUR))
    ledger.fold()
    assert ledger.explain("a")["summary"]["state"] == "held"
    facts = json.loads(run("correct", "a", "--release", "--reason", "x", "--dry-run", "--json"))
    assert facts["before"]["absence"].startswith("held until")


def test_the_tail_names_the_event_of_a_correction_without_effect(ledger: Ledger) -> None:
    ledger.append(ledger.correction("fix", "nobody", "reversal"), ledger.correction("later", "a/b", "release", HOUR))
    ledger.append(ledger.call("a"), ledger.call("a", tokens={"input": 1}))
    ledger.fold()
    lines = run("tail", "--no-follow").splitlines()
    assert any(
        "correction.ineffective  app/nobody: no event before it" in line and line.endswith("correction=app/fix")
        for line in lines
    )
    partition = ledger.partition
    assert any(f"app at {partition}-2-1  first at {partition}-2-0" in line for line in lines)
    ledger.now += 2 * HOUR
    ledger.append(ledger.call("last"))
    ledger.fold()
    (line,) = run("tail", "--no-follow", "--where", "corrected_id=a/b").splitlines()
    assert "correction.ineffective  app/a/b: no event before it" in line
