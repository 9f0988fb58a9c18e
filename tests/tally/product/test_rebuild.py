"""Rebuilds without the real services: comparison of generations, and rebuilds that do not switch."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from audit.verify.totals import Totals
from audit.verify.verify import Report
from ledger.errors import TallyError
from ledger.log import READ_BYTES, Draft, Log, Record, generation
from ledger.log.sqlite.log import EmbeddedLog
from ledger.log.topics import ENTRIES, EVENTS, Topic
from ledger.settings import Settings
from tally.generations import files
from tally.generations.compare import Differences, compare
from tally.product import rebuild as rebuilding
from tally.session import opened
from tests.tally.conftest import invoke


@dataclass
class FakeLog:
    """A log with some entries on partition 3."""

    contents: Sequence[tuple[int, str]]
    broken: Exception | None = None
    generation: int | None = None
    records: list[Record] = field(init=False)

    def __post_init__(self) -> None:
        self.records = [
            Record(3, offset, 0, "k", {"cause_offset": str(cause)}, value.encode())
            for offset, (cause, value) in enumerate(self.contents)
        ]

    def read(self, topic: Topic, partition: int, offset: int, max_bytes: int = READ_BYTES) -> list[Record]:
        return self.records[offset:][:2] if (topic, partition) == (ENTRIES, 3) else []

    def end(self, topic: Topic, partition: int) -> int:
        return len(self.records) if (topic, partition) == (ENTRIES, 3) else 0

    def ends(self, topic: Topic) -> list[int]:
        return [self.end(topic, partition) for partition in range(topic.partitions)]

    def last(self, topic: Topic, partition: int) -> Record | None:
        if self.broken:
            raise self.broken
        return self.records[-1] if self.end(topic, partition) else None

    def append(self, topic: Topic, drafts: Sequence[Draft]) -> list[Record]:
        raise NotImplementedError

    def follow(self) -> None:
        pass

    def close(self) -> None:
        pass


SUBJECT = "the record that tally.entries derives from 3:{}"
RECORDS = [(0, "a"), (1, "b\nc"), (3, "d"), (4, "e")]


@pytest.mark.parametrize(
    ("old", "new", "compared", "differing", "first"),
    [
        (RECORDS, RECORDS, 4, 0, None),
        (RECORDS[:2], RECORDS, 2, 0, None),
        (RECORDS, RECORDS[:2], 2, 0, None),
        ([], RECORDS, 0, 0, None),
        (RECORDS, [(0, "a"), (1, "b\nC"), (3, "D"), (4, "e")], 4, 2, SUBJECT.format(1) + " was c and is C"),
        (RECORDS, [(0, "a"), (1, "b\nc"), (4, "e")], 4, 1, SUBJECT.format(3) + " is missing"),
        ([(1, "b\nc"), (4, "e")], RECORDS, 4, 2, SUBJECT.format(0) + " is new"),
        (RECORDS, [(0, "a"), (1, "b"), (3, "d"), (4, "e")], 4, 1, SUBJECT.format(1) + " was b\nc and is b"),
    ],
)
def test_what_both_have_folded_is_compared(
    old: list[Any], new: list[Any], compared: int, differing: int, first: str | None
) -> None:
    assert compare(FakeLog(old), FakeLog(new)) == Differences(compared, differing, first, None)


def test_what_cannot_be_read_is_told_and_is_not_the_same() -> None:
    differences = compare(FakeLog(RECORDS, TallyError("no log file")), FakeLog(RECORDS))
    assert differences.unreadable == "TallyError: no log file" and not differences.are_equal


def test_nothing_is_switched_where_the_audit_finds_a_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(home=tmp_path)
    EmbeddedLog(tmp_path).close()
    difference = {"what": "cost", "where": {}, "log": "1", "topic": "2", "warehouse": "2"}
    report = Report(Totals(), Totals(), Totals(), difference, {3: 4}, 0)

    def build_nothing(home: Settings, log: EmbeddedLog, workers: int) -> tuple[float, Report, Differences]:
        (home.home / "warehouse").mkdir(parents=True)
        return 1.0, report, Differences(5, 0, None, None)

    monkeypatch.setattr(rebuilding, "_build_and_verify", build_nothing)
    result = rebuilding.rebuild(settings)
    assert (result.switched, result.old, result.as_json()["records"]) == (False, None, 5)
    assert files.read_request(settings) is None and (tmp_path / "rebuild" / "warehouse").is_dir()
    assert not any(EmbeddedLog(tmp_path).ends(EVENTS))


def test_one_that_another_home_overtook_is_thrown_away(
    tmp_path: Path, kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(home=tmp_path, log=f"kafka://{kafka}/{uuid.uuid4()}")

    def overtake(build_settings: Settings, log: Log, workers: int) -> tuple[float, Report, Differences]:
        with opened(settings) as other_log:
            generation.activate(other_log, 7)
        return 1.0, Report(Totals(), Totals(), Totals(), None, {}, 0), Differences(5, 0, None, None)

    monkeypatch.setattr(rebuilding, "_build_and_verify", overtake)
    with opened(settings, new=True):
        pass
    with pytest.raises(TallyError, match=r"another home of .*: generation 2 is discarded. Run .* again"):
        rebuilding.rebuild(settings)
    assert files.read_request(settings) is None
    with opened(settings) as log:
        assert generation.read_current(log) == 7


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({}, "No log in"),
    ],
)
def test_where_it_cannot_be_it_says_so(tmp_path: Path, variables: dict[str, str], sentence: str) -> None:
    command = invoke("rebuild", TALLY_HOME=str(tmp_path), **variables)
    assert command.returncode == 2 and sentence in command.stderr and len(command.stderr.splitlines()) == 1, (
        command.stderr
    )
