"""Replacing a source: whatever the log has of it, afterwards exactly what the files give is in force."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from ingest.files.importer import Options, import_files
from ingest.files.replacement import plan_replacement
from ingest.files.source_table import Counts
from ledger.errors import TallyError
from ledger.log import partition_of, records
from ledger.log.sqlite.log import EmbeddedLog
from ledger.log.topics import ENTRIES, EVENTS
from ledger.settings import Settings
from streams.embedded.store import Store
from streams.embedded.worker import Partition
from streams.runtime import read_catalogues
from tests.ingest.build import HEADER, LINE, azure
from tests.streams.build import call, correction

NUMBER = partition_of("default")
Tokens = Mapping[str, int]


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
        import_files(self.log, self.settings, [self._write(lines)])
        self.fold()

    def replace(self, *lines: bytes, source: str = "test", options: Options = Options()) -> Counts:  # noqa: B008
        file = self._write(lines)
        with plan_replacement(self.log, self.settings, source, [file], options) as (counts, apply, _):
            apply(lambda done, total: None)
        self.fold()
        return counts

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


def test_a_trace_is_replaced_by_its_lines(home: Home) -> None:
    wrong, right = LINE, LINE.replace(b"4808", b"48")
    options = Options(sets=("model=gpt-4o",))
    file = home.settings.home / "trace.csv"
    file.write_bytes(azure(wrong, wrong))
    import_files(home.log, home.settings, [file], Options(source="mine"))
    home.fold()
    assert home.replace(HEADER, wrong, right, source="mine", options=options) == Counts(0, 1, 1, 1, 0)
    assert sum(home.in_force().values()) == 4808 + 48 + 20


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
