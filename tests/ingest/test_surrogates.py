"""Texts that were cut within a character: the JSON around them is read."""

import json

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from ingest.adapters.head import parse_json
from ingest.mapping import columns
from ingest.surrogates import repair_surrogates

UNITS = st.one_of(st.characters(), st.integers(0xD800, 0xDFFF).map(chr), st.sampled_from(["\\", "\\ud83d", '"', "😀"]))


@given(st.lists(UNITS))
def test_json_of_any_text_is_read_with_lone_surrogates_replaced(units: list[str]) -> None:
    text = "".join(units)
    repaired = repair_surrogates(json.dumps({"text": text}).encode())
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    expected = "".join("\ufffd" if "\ud800" <= character <= "\udfff" else character for character in whole)
    assert msgspec.json.decode(repaired) == {"text": expected}


def test_json_without_surrogates_stays_as_it_is() -> None:
    raw = b'{"text": "plain \\u00e9 \\\\ud"}'
    assert repair_surrogates(raw) == raw


@given(st.lists(UNITS))
def test_a_cell_of_json_and_a_row_are_read_without_lone_surrogates(units: list[str]) -> None:
    cell = json.dumps({"text": "".join(units)})
    for document in (parse_json(cell), parse_json(cell.encode()), columns.parse_json(cell)):
        assert document == msgspec.json.decode(repair_surrogates(cell.encode()))
