"""Replacing a source: whatever the log has of it, afterwards exactly what the files give is in force."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from ingest.files import plan
from ingest.files.importer import Options, import_files
from ingest.files.replacement import _decode_entry, _enter_line, plan_replacement
from ingest.files.source_table import Counts, SourceTable
from ingest.files.summary import Summary
from ingest.mapping.sheet import Sheet
from ledger.errors import TallyError
from ledger.log import partition_of, records
from ledger.log.sqlite.log import EmbeddedLog
from ledger.log.topics import ENTRIES, EVENTS
from ledger.settings import Settings
from streams.embedded.store import Store
from streams.embedded.worker import Partition
from streams.runtime import read_catalogues
from tests.ingest.adapters.test_row_sources import GOLDEN
from tests.ingest.build import HEADER, LINE, azure
from tests.ingest.files.test_folders import answer, write
from tests.streams.build import call, correction

NUMBER = partition_of("default")
Tokens = Mapping[str, int]
ORIGINAL = {"original_offset": 1, "original_index": 0}


class Home:
    """A home whose folds run when they are asked to."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(home=folder)
        self.log = EmbeddedLog(folder)
        self._file = folder / "events.ndjson"

    def fold(self) -> None:
        store = Store(self.settings.home)
        partition = Partition(NUMBER, self.log, store, read_catalogues(self.log))
        while partition.step():
            pass
        store.close()

    def bring(self, *lines: bytes) -> None:
        self.bring_files(self._write(lines))

    def bring_files(self, *files: Path, options: Options = Options()) -> Summary:  # noqa: B008
        summary = import_files(self.log, self.settings, files, options)
        self.fold()
        return summary

    def replace(self, *lines: bytes, source: str = "test", options: Options = Options()) -> Counts:  # noqa: B008
        return self.replace_by_files(self._write(lines), source=source, options=options)[0]

    def replace_by_files(
        self,
        *files: Path,
        source: str,
        options: Options = Options(),  # noqa: B008
    ) -> tuple[Counts, Summary]:
        with plan_replacement(self.log, self.settings, source, files, options) as (counts, apply, reading):
            apply(lambda done, total: None)
        self.fold()
        return counts, reading

    def in_force(self) -> dict[tuple[str, str], int]:
        """Return the input tokens of each event and correction; what adds up to nothing is left out."""
        tokens: Counter[tuple[str, str]] = Counter()
        for record in records(self.log, ENTRIES, NUMBER):
            for line in map(json.loads, record.value.split(b"\n")):
                for entry in line.get("lines", ()):
                    tokens[line["source"], line["id"]] += entry["quantity"]
        return {name: amount for name, amount in tokens.items() if amount}

    def _write(self, lines: tuple[bytes, ...]) -> Path:
        self._file.write_bytes(b"\n".join(lines))
        return self._file


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path)
    with closing(home.log):
        yield home


def lines_of(tokens: Tokens) -> list[bytes]:
    return [call(id, tokens={"input": amount}) for id, amount in tokens.items()]


def test_what_differs_is_revised_reversed_and_added(home: Home) -> None:
    home.bring(*lines_of({"a": 1, "b": 2, "c": 3}), call("x", source="other", tokens={"input": 9}))
    right = lines_of({"a": 1, "b": 20, "d": 4})
    assert home.replace(*right) == Counts(kept=1, replaced=1, reversed=1, added=1, repeated=0)
    now = {("test", "a"): 1, ("test", "b"): 20, ("test", "d"): 4, ("other", "x"): 9}
    assert home.in_force() == now
    end = home.log.end(EVENTS, NUMBER)
    assert home.replace(*right).changes == 0 and home.log.end(EVENTS, NUMBER) == end
    back = {("test", "a"): 1, ("test", "b"): 2, ("test", "c"): 3, ("other", "x"): 9}
    assert home.replace(*lines_of({"a": 1, "b": 2, "c": 3})).changes == 3 and home.in_force() == back


contents = some.dictionaries(some.sampled_from("abcd"), some.integers(1, 3), min_size=1)
steps = some.lists(
    some.tuples(some.sampled_from(("bring", "replace", "reverse", "put right")), contents), min_size=1, max_size=6
)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(contents, steps)
def test_whatever_happened_a_replacement_leaves_what_the_file_gives(
    tmp_path_factory: pytest.TempPathFactory, first: Tokens, steps: list[tuple[str, Tokens]]
) -> None:
    home = Home(tmp_path_factory.mktemp("home"))
    home.bring(*lines_of(first))
    for number, (action, tokens) in enumerate(steps):
        if action == "bring":
            home.bring(*lines_of(tokens))
        elif action == "replace":
            home.replace(*lines_of(tokens))
            assert home.in_force() == {("test", id): amount for id, amount in tokens.items()}
            assert home.replace(*lines_of(tokens)).changes == 0
        else:
            replacements = [{"tokens": {"input": amount}} for amount in tokens.values()]
            home.bring(*(
                correction(f"{number}{id}", id, replacement=None if action == "reverse" else replacement)
                for id, replacement in zip(tokens, replacements, strict=True)
            ))  # fmt: skip
    home.log.close()


def test_a_held_event_is_kept_and_reversed_as_one_that_is_counted(home: Home) -> None:
    held = call("h", at_s=10 * 365 * 86400, tokens={"input": 7})
    home.bring(*lines_of({"a": 1}), held)
    assert home.replace(*lines_of({"a": 1}), held) == Counts(kept=2, replaced=0, reversed=0, added=0, repeated=0)
    assert home.replace(*lines_of({"a": 1})) == Counts(kept=1, replaced=0, reversed=1, added=0, repeated=0)
    assert home.replace(*lines_of({"a": 1})).changes == 0
    assert home.replace(*lines_of({"a": 1}), call("h", tokens={"input": 7})).added == 1
    assert home.in_force() == {("test", "a"): 1, ("test", "h"): 7}


def test_an_event_that_fell_due_or_was_restated_is_its_own(tmp_path: Path) -> None:
    table, due = SourceTable(), (5, 1 << 31)
    lines = [
        {"outcome": "held", "id": "h", "event_index": 0},
        {"outcome": "release", "id": "h", "event_index": due[1], "reason": "held", "pricing": "priced"} | ORIGINAL,
        {"outcome": "reversal", "reason": "restatement", "original_offset": due[0], "original_index": due[1]},
        {"outcome": "restatement", "original_offset": due[0], "original_index": due[1]},
    ]
    for offset, line in zip((1, 5, 6, 6), lines, strict=True):
        _enter_line(_decode_entry(json.dumps({"organization": "default", "kind": "inference"} | line)), offset, table)
    table.describe("h", b"same", 0)
    table.stage("h", b"same", 0, b"{}")
    assert table.count() == Counts(kept=1, replaced=0, reversed=0, added=0, repeated=0)
    table.reverse(due)
    assert table.count().added == 1


def test_a_trace_is_replaced_by_its_lines(home: Home) -> None:
    wrong, right = LINE, LINE.replace(b"4808", b"48")
    options = Options(sets=("model=gpt-4o",))
    file = home.settings.home / "trace.csv"
    file.write_bytes(azure(wrong, wrong))
    home.bring_files(file, options=Options(source="mine"))
    assert home.replace(HEADER, wrong, right, source="mine", options=options) == Counts(0, 1, 1, 1, 0)
    assert sum(home.in_force().values()) == 4808 + 48 + 20


@pytest.mark.parametrize("folder", sorted(GOLDEN.iterdir()), ids=lambda folder: folder.name)
def test_the_files_of_a_source_are_read_as_by_an_import(home: Home, folder: Path) -> None:
    """The same files, options and warnings: what was imported stays as it is, and what is said of the files agrees."""
    files = [file for file in sorted(folder.iterdir()) if file.name != "expected.json"]
    right, wrong = (Options(sets=(f"tags.import={name}",)) for name in ("right", "wrong"))
    summary = home.bring_files(*files, options=wrong)
    if summary.rejected:
        with pytest.raises(TallyError, match=f"{summary.rejected:,} lines were rejected"):
            home.replace_by_files(*files, source=folder.name, options=wrong)
        return
    end = home.log.end(EVENTS, NUMBER)
    counts, reading = home.replace_by_files(*files, source=folder.name, options=wrong)
    assert counts.kept and counts.changes == 0 and home.log.end(EVENTS, NUMBER) == end
    assert (reading.files, reading.removed, reading.warnings) == (summary.files, summary.removed, summary.warnings)
    quantities = home.in_force()
    assert home.replace_by_files(*files, source=folder.name, options=right)[0] == counts._replace(
        kept=0, replaced=counts.kept
    )
    assert home.in_force() == quantities, "a tag differs, and no token"
    assert home.replace_by_files(*files, source=folder.name, options=right)[0] == counts


def test_a_folder_that_grew_is_replaced_as_it_lies(home: Home, tmp_path: Path) -> None:
    folder = tmp_path / "projects"
    write(folder / "a" / "1.jsonl", answer("m1", 1), answer("m2", 20), time_s=100)
    write(folder / "b" / "2.jsonl", answer("m3", 5), time_s=200)
    home.bring_files(folder)
    write(folder / "a" / "1.jsonl", answer("m1", 1), answer("m1", 310), answer("m4", 2), time_s=300)
    write(folder / "b" / "3.jsonl", answer("m1", 310), time_s=400)  # a resumed copy
    write(folder / "notes.jsonl", {"a": 1})
    counts, reading = home.replace_by_files(folder, source="claude-code")
    assert counts == Counts(kept=1, replaced=1, reversed=1, added=1, repeated=0)
    assert [path.name for path in reading.skipped_files] == ["notes.jsonl"]
    assert home.in_force() == {("claude-code", f"m{n},r-m{n}"): 3 + output for n, output in ((1, 310), (3, 5), (4, 2))}
    assert home.bring_files(folder).accepted == 3
    assert home.replace_by_files(folder, source="claude-code")[0].changes == 0, "a plain import adds nothing to it"


def test_files_of_two_sources_are_not_booked_in_as_one(home: Home, tmp_path: Path) -> None:
    write(tmp_path / "projects" / "1.jsonl", answer("m1", 1))
    folders = tmp_path / "projects", GOLDEN / "codex"
    home.bring_files(*folders)
    end = home.log.end(EVENTS, NUMBER)
    with pytest.raises(TallyError, match="of the source 'codex', and --replace names 'claude-code'"):
        home.replace_by_files(*folders, source="claude-code")
    assert home.log.end(EVENTS, NUMBER) == end


def test_a_mapping_is_checked_and_reads_folders_as_in_an_import(home: Home, tmp_path: Path) -> None:
    folder, mapping = tmp_path / "days", tmp_path / "map.yaml"
    rows = [
        {"at": "2026-05-04T10:00:00Z", "id": n, "model": "m", "in": 10 + n, "n": 7, "team": None, "grown": n}
        for n in (1, 2)
    ]
    sheet = {
        "format": "jsonl", "source": "days", "time": {"column": "at"}, "id": ["id"], "tokens": {"input": "in"},
        "fields": {"model": "model", "team": "team", "revision": "grown"}, "calls": "n",
    }  # fmt: skip
    options = Options(mapping=mapping)
    mapping.write_text(yaml.safe_dump(sheet))
    write(folder / "1.jsonl", *rows)
    summary = home.bring_files(folder, options=options)
    assert summary.warnings and summary.accepted == 2
    write(folder / "1.jsonl", rows[0], rows[1] | {"in": 30, "grown": 9})
    counts, reading = home.replace_by_files(folder, source="days", options=options)
    assert counts == Counts(1, 1, 0, 0, 0) and reading.warnings == summary.warnings
    assert home.in_force() == {("days", "1"): 11, ("days", "2"): 30}
    write(folder / "1.jsonl", rows[0], rows[1] | {"n": 8})
    assert home.replace_by_files(folder, source="days", options=options)[0].replaced == 1, "calls are content"
    mapping.write_text(yaml.safe_dump(sheet | {"calls": "nn"}))
    with pytest.raises(TallyError, match="does not fit"):
        home.replace_by_files(folder, source="days", options=options)


def test_a_file_is_checked_against_its_mapping_once(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the mapping names another source than the one that is replaced."""
    file, mapping = tmp_path / "rows.jsonl", tmp_path / "map.yaml"
    write(file, {"at": "2026-05-04T10:00:00Z", "in": 7})
    sheet = {"format": "jsonl", "source": "rows", "time": {"column": "at"}, "tokens": {"input": "in"}}
    mapping.write_text(yaml.safe_dump(sheet))
    home.bring_files(file, options=Options(mapping=mapping, source="renamed"))
    sources: list[str] = []

    def check_mapping(path: Path, mapping: Path, sheet: Sheet) -> list[str]:
        sources.append(sheet.source)
        return []

    monkeypatch.setattr(plan, "check_mapping", check_mapping)
    counts, _ = home.replace_by_files(file, source="renamed", options=Options(mapping=mapping))
    assert (counts.kept, counts.changes, sources) == (1, 0, ["renamed"])


def test_of_lines_with_one_id_the_greatest_revision_counts(home: Home) -> None:
    home.bring(call("a", tokens={"input": 1}))
    grown = [call("a", tokens={"input": amount}, revision=amount) for amount in (5, 7, 6)]
    assert home.replace(*grown).replaced == 1
    assert home.in_force() == {("test", "a"): 7}
    assert home.replace(*grown).changes == 0


@pytest.mark.parametrize(
    ("lines", "source", "options", "message"),
    [
        ([call("a")], "tset", Options(), "no events of the source 'tset'.*nearest of its sources: 'test'"),
        ([call("a"), b"{}"], "test", Options(), "1 lines were rejected.*line 2.*Nothing was changed"),
        ([call("a", source="other")], "test", Options(), "of the source 'other'.*Nothing was changed"),
        ([correction("c", "a", source="test").replace(b"people", b"test")], "test", Options(), "is for inferences"),
        ([call("a")], "s" * 257, Options(), "at most 256"),
        ([call("a")], "test", Options(source="other"), "--source 'other' is not the source"),
        ([call("a")], "test", Options(pace=1), "--pace"),
    ],
)
def test_what_cannot_be_compared_changes_nothing(
    home: Home, lines: list[bytes], source: str, options: Options, message: str
) -> None:
    home.bring(call("a"), call("b"))
    end = home.log.end(EVENTS, NUMBER)
    with pytest.raises(TallyError, match=message):
        home.replace(*lines, source=source, options=options)
    assert home.log.end(EVENTS, NUMBER) == end
