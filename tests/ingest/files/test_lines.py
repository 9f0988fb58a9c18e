"""The lines of a file."""

import io

from hypothesis import given
from hypothesis import strategies as st

from ingest.files import lines as reading
from ingest.files.lines import lines
from ingest.intake.limits import MAX_LINE


@given(st.lists(st.sampled_from([b"a", b"", b"\r", b"\n", b"\r\n", b"\xef\xbb\xbf", b"b" * 50]), max_size=30))
def test_lines_are_numbered_as_they_stand(parts: list[bytes]) -> None:
    content = b"".join(parts)
    whole = [line.removesuffix(b"\r") for line in content.removeprefix(reading.BOM).split(b"\n")]
    while whole and not whole[-1]:
        whole.pop()
    found = list(lines(io.BytesIO(content)))
    assert [line.content for line in found] == whole
    assert [line.number for line in found] == list(range(1, len(whole) + 1))


def test_a_long_line_is_held_in_part_and_told_whole() -> None:
    for length in (MAX_LINE - 1, MAX_LINE, MAX_LINE + 1, MAX_LINE + 2, 2 * MAX_LINE + 2, 5 * MAX_LINE):
        for end in (b"\n", b"\r\n", b""):
            found = list(lines(io.BytesIO(b"a" * length + end + (b"next" if end else b""))))
            assert [line.length for line in found] == ([length, 4] if end else [length])
            assert len(found[0].content) == min(length, MAX_LINE)
