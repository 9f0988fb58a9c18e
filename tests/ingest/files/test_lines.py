"""The lines of a file."""

import io

from hypothesis import given
from hypothesis import strategies as st

from ingest.files import lines as reading
from ingest.files.lines import read_lines
from ingest.intake.limits import MAX_LINE_BYTES


@given(st.lists(st.sampled_from([b"a", b"", b"\r", b"\n", b"\r\n", b"\xef\xbb\xbf", b"b" * 50]), max_size=30))
def test_lines_are_numbered_as_they_stand(parts: list[bytes]) -> None:
    content = b"".join(parts)
    expected = [line.removesuffix(b"\r") for line in content.removeprefix(reading.BOM).split(b"\n")]
    while expected and not expected[-1]:
        expected.pop()
    lines_read = list(read_lines(io.BytesIO(content)))
    assert [line.content for line in lines_read] == expected
    assert [line.number for line in lines_read] == list(range(1, len(expected) + 1))


def test_a_long_line_is_held_in_part_and_told_whole() -> None:
    for length in (
        MAX_LINE_BYTES - 1,
        MAX_LINE_BYTES,
        MAX_LINE_BYTES + 1,
        MAX_LINE_BYTES + 2,
        2 * MAX_LINE_BYTES + 2,
        5 * MAX_LINE_BYTES,
    ):
        for end in (b"\n", b"\r\n", b""):
            lines_read = list(read_lines(io.BytesIO(b"a" * length + end + (b"next" if end else b""))))
            assert [line.length for line in lines_read] == ([length, 4] if end else [length])
            assert len(lines_read[0].content) == min(length, MAX_LINE_BYTES)
