"""Importing: identities that hold when files grow, batches, refusals, options, and what never reaches the log."""

import json
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.files import importer
from ingest.files.importer import MAX_AHEAD_S, Options, Range, import_files, parse_start
from ingest.intake import batch
from ingest.intake.limits import MAX_LINE_BYTES
from ledger.errors import TallyError
from ledger.log import Draft, Record, partition_of
from ledger.log.topics import EVENTS, REJECTED, Topic
from ledger.settings import Settings
from tests.ingest.build import HEADER, LINE, Kept, azure, import_contents, request

EVENT = b'{"id":"%d","source":"s","type":"tallystick.inference.v1","time":"2026-01-05T12:00:00Z","data":{}}'
in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
REQUESTS = st.lists(st.sampled_from([request(n, 900, n, n, 7) for n in range(4)]), min_size=1, max_size=12)


@in_one_folder
@given(REQUESTS, REQUESTS, st.data())
def test_a_file_that_grew_adds_only_what_is_new(
    tmp_path: Path, a: list[bytes], b: list[bytes], data: st.DataObject
) -> None:
    end = data.draw(st.sampled_from([b"\n", b"\r\n"]))
    content = end.join(a + b) + data.draw(st.sampled_from([b"", end]))
    cut_end = data.draw(st.integers(len(a[0]) + 1, len(content)))  # anywhere, also in the middle of a line
    _, once = import_contents(tmp_path, content)
    _, before = import_contents(tmp_path, content[:cut_end])
    _, bare = import_contents(tmp_path, b"\n".join(a))
    assert len(set(once.identities)) == len(a + b)
    assert before.lines == once.lines[: len(before.lines)] and len(before.lines) >= content[:cut_end].count(b"\n")
    assert bare.lines == once.lines[: len(a)]


def test_equal_lines_are_told_apart_by_their_occurrence(tmp_path: Path) -> None:
    _, log = import_contents(tmp_path, azure(LINE, LINE, LINE.replace(b"10", b"11"), LINE))
    occurrences = [id.rpartition("-")[2] for id in log.identities]
    assert occurrences == ["1", "2", "1", "3"] and len({id[:32] for id in log.identities}) == 2


def test_terminators_and_a_byte_order_mark_do_not_tell(tmp_path: Path) -> None:
    contents = [
        azure(LINE, LINE),
        azure(LINE, LINE, end=b"\n"),
        azure(LINE, LINE) + b"\r\n",
        b"\xef\xbb\xbf" + azure(LINE, LINE),
    ]
    contents.append(azure(LINE, LINE) + b"\r")
    assert len({tuple(import_contents(tmp_path, content)[1].lines) for content in contents}) == 1
    summary, marked_summary = (
        import_contents(tmp_path, mark + request(0, 5, 5, 1))[1] for mark in (b"", b"\xef\xbb\xbf")
    )
    assert summary.lines == marked_summary.lines


def test_an_event_says_what_the_trace_says_and_what_was_set(tmp_path: Path) -> None:
    sets = ("model=gpt-4o", "team=search", "user=ann", "tags.tier=gold", "attempt=2")
    _, log = import_contents(tmp_path, azure(LINE), sets=sets, source="mine")
    (event,) = log.events
    assert event["source"] == "mine" and event["time"] == "2023-11-16T18:17:03.979960Z"
    assert event["data"].pop("user").startswith("p_")
    assert event["data"] == {
        "adapter": "azure-llm", "attempt": 2, "team": "search", "tags": {"tier": "gold"}, "model": "gpt-4o",
        "tokens": {"input": 4808, "output": 10},
    }  # fmt: skip


def test_a_record_is_bounded_and_says_who_brought_it_and_what_was_refused(tmp_path: Path) -> None:
    lines = [LINE.replace(b"4808", b"%d" % n) for n in range(1100)]
    summary, log = import_contents(tmp_path, azure(*lines[:600], b"bad", *lines[600:]))
    records = log.records[EVENTS.name]
    assert [record.value.count(b"\n") + 1 for record in records] == [500, 500, 100]
    assert [record.headers["refused"] for record in records] == ["0", "1", "0"]
    assert dict(records[0].headers) == {
        "organization": "default", "channel": "import", "principal": "local", "schema": "1", "refused": "0",
    }  # fmt: skip
    assert records[0].partition == partition_of("default")
    assert (summary.received, summary.accepted, summary.rejected) == (1101, 1100, 1)
    assert summary.appended == [Range(records[0].partition, 0, 2)]


def test_large_events_make_records_of_fewer(tmp_path: Path) -> None:
    padding = "".join(f',"n{n}":{n}' for n in range(32)).encode()
    long = EVENT[:-3] + b'{"tags":{"a":"' + b"x" * 250 + b'"}' + padding + b"}}"
    _, log = import_contents(tmp_path, b"\n".join(long % n for n in range(1000)))
    values = [record.value for record in log.records[EVENTS.name]]
    assert max(map(len, values)) <= batch.MAX_BYTES and len(log.identities) == 1000 and len(values) > 2


def test_refusals_alone_are_a_record_without_events(tmp_path: Path) -> None:
    summary, log = import_contents(tmp_path, azure(*[b"bad"] * 1001))
    records = log.records[EVENTS.name]
    assert [(record.value, record.headers["refused"]) for record in records] == [(b"", "500"), (b"", "500"), (b"", "1")]
    assert (summary.received, summary.rejected, len(summary.refusals)) == (1001, 1001, 20)
    details = log.rejections
    assert len(details) == 2 * (batch.MAX_DETAILS + 1) + 1
    assert details[batch.MAX_DETAILS] | {"partition": 0} == {
        "partition": 0, "offset": 0, "channel": "import", "path": "",
        "reason": "has 1 columns, and must have the 3 of the header", "times": 450,
    }  # fmt: skip


def test_a_refusal_is_told_without_a_value(tmp_path: Path) -> None:
    summary, log = import_contents(tmp_path, azure(LINE, b"2023-11-16 18:17:03.9,4808,many"))
    (refusal,) = summary.refusals
    reason = "must be a whole number from 0 to 1,000,000,000,000"
    assert refusal[1:] == (3, "GeneratedTokens", reason)
    (details,) = log.rejections
    assert (details["path"], details["reason"], details["bytes"]) == ("GeneratedTokens", reason, 31)
    assert details["skeleton"] == [f"a string of {length} characters" for length in (21, 4, 4)]


def test_bad_lines_are_numbered_and_stop_nothing(tmp_path: Path) -> None:
    long = b"x" * (MAX_LINE_BYTES + 1)
    content = azure(LINE, b"", LINE, b"  ", long, b"\xff", b"\0", LINE, HEADER, b"", b"")
    summary, log = import_contents(tmp_path, content)
    assert [refusal.line for refusal in summary.refusals] == [3, 5, 6, 7, 8, 10]
    assert (summary.accepted, len(log.lines)) == (3, 3)
    assert summary.refusals[0].reason == "is empty: leave it out"
    assert summary.refusals[2].reason == "has 1,048,577 bytes, and a line may have 1,048,576"


def test_several_files_are_imported_in_one_call(tmp_path: Path) -> None:
    summary, log = import_contents(
        tmp_path, azure(LINE), request(0, 5, 5) + b"\n" + EVENT % 1, EVENT % 1 + b"\n" + EVENT % 2
    )
    assert [(file.format, file.source, file.accepted, file.rejected) for file in summary.files] == [
        ("azure-llm", "azure-llm", 1, 0), ("mooncake", "mooncake", 1, 1), ("cloudevents", None, 2, 0),
    ]  # fmt: skip
    assert [event["source"] for event in log.events] == ["azure-llm", "mooncake", "s", "s"]


def test_events_of_our_own_keep_their_identity_and_decisions_are_refused(tmp_path: Path) -> None:
    other_events = [EVENT.replace(b"inference", kind) % 3 for kind in (b"control", b"tick", b"unheard")]
    summary, log = import_contents(
        tmp_path, b"\n".join([EVENT % 1, *other_events, EVENT.replace(b"{}", b'{"x":"y"}') % 2])
    )
    assert log.identities == ["1", "2"]
    assert [refusal.field for refusal in summary.refusals] == ["type"] * 3
    assert dict(summary.removed) == {("data.x", "string"): 1}


@pytest.mark.parametrize(
    ("contents", "options", "message"),
    [
        ([azure(LINE), b""], {}, "file-1 is empty"),
        ([azure(LINE), b"\xef\xbb\xbf"], {}, "file-1 is empty"),
        ([azure(LINE), b"\n\nx"], {}, "file-1 is of no known format"),
        ([azure(LINE), b"a,b,c\n1,2,3"], {}, "file-1 is of no known format"),
        ([azure(LINE), EVENT % 1], {"source": "x"}, "--source is for traces"),
        ([EVENT % 1], {"sets": ["model=x"]}, "--set is for traces"),
        ([EVENT % 1], {"start": parse_start("2024-01-01")}, "--start is for traces"),
        ([azure(LINE)], {"start": parse_start("2024-01-01")}, "--start is for relative times"),
        ([request(0, 1, 1)], {"start": parse_start("1999-01-01")}, "must lie between 2000 and 2200"),
        ([azure(LINE)], {"source": ""}, "source: String should have at least 1 character"),
        ([azure(LINE)], {"sets": ["model=a\0"]}, "the character NUL"),
        ([azure(LINE)], {"sets": ["tokens=1"]}, "the trace has 'tokens' itself"),
        ([azure(LINE)], {"pace": 0}, "--pace 0 must be above zero"),
        ([azure(LINE)], {"pace": float("nan")}, "--pace nan must be above zero"),
    ],
)
def test_what_is_not_possible_is_said_before_anything_is_written(
    tmp_path: Path, contents: list[bytes], options: dict[str, object], message: str
) -> None:
    with pytest.raises(TallyError, match=r"\w") as error:
        import_contents(tmp_path, *contents, **options)
    assert message in str(error.value)


@pytest.mark.parametrize("name", ["absent", "folder"])
def test_what_is_no_file_is_said(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "good").write_bytes(azure(LINE))
    log = Kept()
    with pytest.raises(TallyError, match=f"{name} (does not exist|holds no session files)"):
        import_files(log, Settings(home=tmp_path), [tmp_path / "good", tmp_path / name])
    assert log.lines == []


def test_the_reserved_organization_imports_nothing(tmp_path: Path) -> None:
    (tmp_path / "good").write_bytes(azure(LINE))
    with pytest.raises(TallyError, match="reserved"):
        import_files(Kept(), Settings(home=tmp_path, organization="_platform"), [tmp_path / "good"])


def test_a_moment_without_a_zone_is_utc() -> None:
    assert parse_start("2024-01-01") == parse_start("2024-01-01T00:00:00Z") == parse_start("2024-01-01T02:00:00+02:00")
    with pytest.raises(TallyError, match="--start 'soon' is no moment"):
        parse_start("soon")


def test_a_pace_is_kept_and_what_is_due_is_not_held_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that only a wait moves."""
    now_s = 0.0

    class Clock:
        @staticmethod
        def monotonic() -> float:
            return now_s

        @staticmethod
        def sleep(wait_s: float) -> None:
            nonlocal now_s
            now_s += wait_s

    monkeypatch.setattr(importer, "time", Clock)
    lines = [request(offset, 5, 5) for offset in (0, 0, 300_000, 600_000)]
    appends: list[tuple[float, int]] = []

    class Timed(Kept):
        def append(self, topic: Topic, drafts: Sequence[Draft]) -> list[Record]:
            appends.append((now_s, drafts[0].value.count(b"\n") + 1))
            return super().append(topic, drafts)

    (tmp_path / "trace").write_bytes(b"\n".join(lines))
    import_files(Timed(), Settings(home=tmp_path), [tmp_path / "trace"], Options(pace=600))
    assert [events for _, events in appends] == [2, 1, 1]
    (first_s, _), (second_s, _), (third_s, _) = appends
    assert first_s == 0 and 0.5 - MAX_AHEAD_S <= second_s <= 0.5 and 1 - MAX_AHEAD_S <= third_s <= 1


def test_an_interrupted_import_says_what_it_appended(tmp_path: Path) -> None:
    def interrupt(done_bytes: int, total: int) -> None:
        assert 0 < done_bytes <= total
        if len(log.records[EVENTS.name]) == 2:
            raise KeyboardInterrupt

    (tmp_path / "trace").write_bytes(azure(*[LINE.replace(b"10", b"%d" % n) for n in range(2000)]))
    log = Kept()
    summary = import_files(log, Settings(home=tmp_path), [tmp_path / "trace"], progress=interrupt)
    assert isinstance(summary.interrupted, KeyboardInterrupt)
    assert summary.accepted == len(log.lines) == 1000 and summary.appended[0].last == 1


MARK = "a-marked-word of content"


def broken(line: bytes, source: random.Random) -> bytes:
    """One way in which a line can be wrong, or stay right."""
    offset = source.randrange(len(line) + 1)
    mark = MARK.encode()
    ways = [
        line[:offset], line[:offset] + mark + line[offset:], line[offset:], line + line, b"", b" ", mark,
        line[:offset] + b"\0" + line[offset:],
        line[:offset] + bytes([source.randrange(256)]) + line[offset:],
        line[:offset] + b"-" + line[offset:], b"[" * 2000,
        b"\xff" * 9,
        line.replace(b"0", b"9" * 20), line.replace(b'"', b""), b"{" + line + b"}", line.replace(b",", b";"),
        line.replace(b":", b':"' + mark + b'"', 1), line.replace(b'{"', b'{"' + mark + b'":"' + mark + b'","', 1),
    ]  # fmt: skip
    return source.choice(ways).replace(b"\n", b" ")


@pytest.mark.parametrize("seed", [*range(12), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(12, 400))])
def test_broken_lines_are_counted_and_leave_no_word(tmp_path: Path, seed: int) -> None:
    source = random.Random(seed)
    fields = [f'"{name}":"{MARK}"'.encode() for name in ("messages", "completion", "user", "customer")]
    event = EVENT.replace(b"{}", b'{"tokens":{"input":5},"temperature":0.5,' + b",".join(fields) + b"}")
    first, line = source.choice(
        [(HEADER, LINE), (request(0, 5, 5, 1), request(9, 900, 5, 1, 2)), (event % 1, event % 2)]
    )
    lines = [broken(line, source) if source.random() < 0.7 else line for _ in range(80)]
    while lines and not lines[-1]:
        lines.pop()
    summary, log = import_contents(tmp_path, b"\n".join([first, *lines]))
    expected = len(lines) + (first != HEADER)
    assert summary.received == summary.accepted + summary.rejected == expected, f"seed {seed}"
    assert len(log.lines) == summary.accepted, f"seed {seed}"
    assert sum(int(record.headers["refused"]) for record in log.records[EVENTS.name]) == summary.rejected, (
        f"seed {seed}"
    )
    details = repr(log.records) + repr(summary)
    allowed = Counter(event["id"] + event["source"] for event in log.events)  # the identity is the source's own
    if not any(MARK in name for name in allowed):
        assert MARK not in details, f"seed {seed}"
    assert REJECTED.name in log.records and json.dumps(log.rejections)
