"""The formats: what a line says, which lines are refused, and how a file is known."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.adapters import azure_llm_trace, mooncake_trace
from ingest.adapters.adapter import Parse
from ingest.adapters.head import read_head
from ingest.adapters.registry import FORMATS, recognize_format
from ingest.files.trace_template import Frame
from ingest.intake.intake import seal_event
from ingest.intake.rejection import Rejection
from ledger.errors import TallyError
from ledger.file_formats import FILE_FORMATS
from ledger.inference_fields import MAX_COUNT
from tallystick.vocabulary.base import has_visible_character
from tests.ingest.build import HEADER, LINE, request


def parser(name: str, start: datetime | None = None) -> Parse:
    (trace,) = [form.trace for form in FORMATS if form.name == name]
    assert trace
    return trace(start)


@pytest.mark.parametrize(
    ("line", "time", "tokens"),
    [
        (LINE, "2023-11-16T18:17:03.979960+00:00", (4808, 10)),
        (b"2023-11-16 18:17:03.1234567,0,0", "2023-11-16T18:17:03.123456+00:00", (0, 0)),
        (b"2023-11-16 18:17:03,1,2", "2023-11-16T18:17:03+00:00", (1, 2)),
        (b"2024-05-12 00:00:00.001163+00:00,1,2", "2024-05-12T00:00:00.001163+00:00", (1, 2)),
        (b"2024-05-12T00:00:00Z,1000000000000,007", "2024-05-12T00:00:00+00:00", (MAX_COUNT, 7)),
    ],
)
def test_a_line_of_azure(line: bytes, time: str, tokens: tuple[int, int]) -> None:
    parsed = parser("azure-llm")(line)
    assert (parsed.time.isoformat(), tuple(parsed.tokens.values())) == (time, tokens)


@pytest.mark.parametrize(
    ("line", "field", "reason"),
    [
        (b"2023-11-16 18:17:03.97", "", "has 1 columns, and must have the 3"),
        (LINE + b",", "", "has 4 columns"),
        (HEADER, "TIMESTAMP", "must look like"),
        (b"yesterday,1,2", "TIMESTAMP", "must look like"),
        (b"2023-02-30 00:00:00,1,2", "TIMESTAMP", "no moment of the calendar"),
        (b"2023-11-16 18:17:03,-1,2", "ContextTokens", "from 0 to 1,000,000,000,000"),
        (b"2023-11-16 18:17:03,1,", "GeneratedTokens", "whole number"),
        (b"2023-11-16 18:17:03,1,2.0", "GeneratedTokens", "whole number"),
        (b"2023-11-16 18:17:03, 1,2", "ContextTokens", "whole number"),
        (b"2023-11-16 18:17:03,1000000000001,2", "ContextTokens", "whole number"),
        (b"2023-11-16 18:17:03,1," + b"9" * 5000, "GeneratedTokens", "whole number"),
        ("2023-11-16 18:17:03,1,٣".encode(), "GeneratedTokens", "whole number"),
        (b"2023-11-16 18:17:03,1\0,2", "ContextTokens", "whole number"),
        (b"2023-11-16 18:17:03,1,2\r", "GeneratedTokens", "whole number"),
        (b"2023-11-16 18:17:03,1,\xff", "", "is not UTF-8"),
    ],
)
def test_a_bad_line_of_azure(line: bytes, field: str, reason: str) -> None:
    with pytest.raises(Rejection) as refused:
        parser("azure-llm")(line)
    assert refused.value.field == field and reason in refused.value.reason


def test_a_block_seen_before_is_a_cache_read() -> None:
    parse = parser("mooncake")
    lines = [
        request(0, 1200, 5, 1, 2, 3),  # blocks of 512, 512 and 176 tokens
        request(1, 1200, 5, 1, 2, 3),
        request(2, 600, 5, 1, 9),
        request(3, 700, 5, 8, 3),  # the last block counts with what it holds here
        request(4, 100, 5, 7, 1),  # more blocks than tokens
        request(5, 1500, 5, 1),  # fewer: the rest was in no block
        request(6, 1024, 5, 20, 20),  # a request cannot read what it brings itself
        request(7, 0, 0),
    ]
    parsed = [tuple(parse(line).tokens.values()) for line in lines]
    assert parsed == [
        (1200, 0, 5),
        (0, 1200, 5),
        (88, 512, 5),
        (512, 188, 5),
        (100, 0, 5),
        (988, 512, 5),
        (1024, 0, 5),
        (0, 0, 0),
    ]


def test_a_refused_line_brings_no_blocks() -> None:
    parse = parser("mooncake")
    with pytest.raises(Rejection):
        parse(request(0, 600, -1, 1, 2))
    with pytest.raises(Rejection):
        parse(request(0, 600, 1, 1, -2))
    assert parse(request(0, 600, 5, 1, 2)).tokens["cache_read"] == 0


def test_relative_times_begin_where_they_are_said_to() -> None:
    start = datetime(2025, 1, 1, tzinfo=UTC)
    line = request(1500, 0, 0)
    assert parser("mooncake")(line).time == mooncake_trace.START + timedelta(seconds=1.5)
    assert parser("mooncake", start)(line.replace(b"1500", b"1500.5")).time == start + timedelta(milliseconds=1500.5)


@pytest.mark.parametrize(
    ("line", "field"),
    [
        (b"{", ""),
        (b"[1]", ""),
        (b"\xff", ""),
        (request(0, 5, 1, 1) + b"\0", ""),
        (request(0, 5, 1, 1)[:-1], ""),
        (b"{}", "timestamp"),
        (request(-1, 5, 1), "timestamp"),
        (request(0, MAX_COUNT + 1, 1), "input_length"),
        (request(0, 5, 1, input_length="5"), "input_length"),
        (request(0, 5, 1, input_length=True), "input_length"),
        (request(0, 5, 1, output_length=None), "output_length"),
        (request(0, 5, 1, hash_ids={"1": 2}), "hash_ids"),
        (request(0, 5, 1, hash_ids=[1.5]), "hash_ids"),
        (request(0, 5, 1, 2**64), "hash_ids"),
        (request(0, 5, 1, -1), "hash_ids"),
    ],
)
def test_a_bad_line_of_mooncake(line: bytes, field: str) -> None:
    with pytest.raises(Rejection) as refused:
        parser("mooncake")(line)
    assert refused.value.field == field


def test_a_file_is_known_by_its_first_line() -> None:
    assert recognize_format(read_head(HEADER), "f").name == "azure-llm"
    assert recognize_format(read_head(request(0, 1, 1, turn=3)), "f").name == "mooncake"
    assert recognize_format(read_head(b'{"type":"tallystick.inference.v1"}'), "f").name == "cloudevents"
    for first_line in (b"", b"a,b", b"{}", b"[", b"\xff\xfe", b"PK\3\4", HEADER + b",More", b'{"type":5}'):
        with pytest.raises(TallyError, match=r"(?s)known format.*TIMESTAMP.*hash_ids.*tallystick"):
            recognize_format(read_head(first_line), "f")


def test_every_adapter_stands_in_the_list_and_in_the_documents() -> None:
    folder = Path(__file__).parents[3] / "ingest"
    adapters = {
        ".".join(path.relative_to(folder / "adapters").with_suffix("").parts)
        for path in (folder / "adapters").rglob("*.py")
        if "\nFORMAT = " in path.read_text()
    }
    assert adapters == {file_format.adapter for file_format in FILE_FORMATS}
    documents = (folder.parent / "docs" / "sources.md").read_text()
    assert [known.name for known in FORMATS if f"| `{known.name}` |" not in documents] == []


TIMES = st.datetimes(datetime(2000, 1, 2), datetime(2199, 12, 30), timezones=st.timezones())
COUNTS = st.integers(0, MAX_COUNT)


@given(st.text(min_size=1, max_size=9), st.text(min_size=1, max_size=9), TIMES, COUNTS, COUNTS)
def test_a_frame_gives_the_bytes_of_the_api(
    source: str, model: str, time: datetime, input_count: int, output_count: int
) -> None:
    tags = {"id": '"id":', "time": "%(time)s", "input": "5", "tokens": '{"input":1000000000000}'}
    template = {"source": source, "type": "tallystick.inference.v1", "data": {"model": model, "tags": tags}}
    try:
        frame = Frame(template, ("output", "input"))
    except Rejection:
        assert "\0" in source + model or not has_visible_character(source)
        return
    tokens = {"output": output_count, "input": input_count}
    event = template | {"id": "x-1", "time": time, "data": template["data"] | {"tokens": tokens}}  # type: ignore[operator]
    assert frame.line("x-1", time, tokens) == seal_event(event)[0]


def test_columns_are_the_header() -> None:
    assert ",".join(azure_llm_trace.COLUMNS).encode() == HEADER
