"""Texts that were cut within a character: the JSON around them is read."""

import json

import msgspec
from hypothesis import given
from hypothesis import strategies as st

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
