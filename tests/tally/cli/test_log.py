"""``tally log``: the log as it stands."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ledger.log import Draft
from ledger.log.sqlite.log import EmbeddedLog
from ledger.log.topics import DOCUMENTS, EVENTS
from tally.cli.app import app

HEADERS = {"organization": "acme", "channel": "test", "principal": "test", "schema": "1", "refused": "0"}
EVENT = b'{"source":"s",  "id":"\xc3\xa9","type":"x"}'


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TALLY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path / "home"


@pytest.fixture
def log(home: Path) -> EmbeddedLog:
    log = EmbeddedLog(home)
    for number in range(3):
        value = b"\n".join([EVENT, b"not json %d" % number])
        log.append(EVENTS, [Draft(3, "acme", HEADERS, value)])
    log.append(EVENTS, [Draft(5, "other", HEADERS, b'{"n":1}')])
    log.append(DOCUMENTS, [Draft(0, "digest", {}, b"\x00\x01\n\x02")])
    return log


def run(*arguments: str) -> list[str]:
    result = CliRunner().invoke(app, ["log", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


def test_events_are_the_newest_with_position_time_key_and_the_line_itself(log: EmbeddedLog) -> None:
    lines = run("events", "--limit", "2")
    assert lines[0].startswith("3-2-1 20") and lines[0].endswith("Z acme not json 2")
    assert lines[1].startswith("5-0-0 ") and lines[1].endswith('other {"n":1}')


def test_one_event_is_found_by_its_position(log: EmbeddedLog) -> None:
    (line,) = run("events", "--partition", "3", "--offset", "1", "--index", "0", "--limit", "1", "--json")
    assert line.encode().endswith(b'"line": ' + EVENT + b"}")
    facts = json.loads(line)
    assert (facts["partition"], facts["offset"], facts["event_index"], facts["key"]) == (3, 1, 0, "acme")
    assert facts["headers"] == HEADERS


def test_what_is_no_json_is_a_string(log: EmbeddedLog) -> None:
    lines = run("events", "--partition", "3", "--offset", "0", "--json")
    assert [json.loads(line)["line"] for line in lines][1::2] == ["not json 0", "not json 1", "not json 2"]
    assert len(run("events", "--partition", "3", "--offset", "1", "--limit", "3")) == 3


def test_documents_are_not_printed_whole(log: EmbeddedLog) -> None:
    (line,) = run("events", "--topic", "documents")
    assert line.endswith("digest (4 bytes, compressed)")


def test_topics_and_positions(log: EmbeddedLog) -> None:
    topics = {topic["name"]: topic for topic in json.loads("\n".join(run("topics", "--json")))}
    assert topics["tally.events"]["offsets"] == 4 and topics["tally.alerts"]["origin"] == "derived"
    assert any("tally.decisions" in line for line in run("topics"))
    positions = json.loads("\n".join(run("positions", "--json")))
    assert positions[0] == {"partition": 3, "recorded": 3, "folded": 0, "stored": None}
    assert "recorded" in run("positions")[1]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ("events", "--topic", "tally.nothing"),
            "No topic 'tally.nothing'. Choose one of tally.events",
        ),
        (("events", "--offset", "3"), "add --partition"),
    ],
)
def test_a_wrong_question_is_told(log: EmbeddedLog, arguments: tuple[str, ...], sentence: str) -> None:
    result = CliRunner().invoke(app, ["log", *arguments])
    assert result.exit_code == 2 and sentence in result.stderr and not result.stdout


def test_without_a_log_nothing_is_made(home: Path) -> None:
    for command in (["log", "topics"], ["status"], ["log", "events"], ["sql", "select 1"], ["verify"]):
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 2 and "No log in" in result.stderr, result.output
    assert not home.exists()
