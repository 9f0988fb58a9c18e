"""The spelling of names: each is visible, and each can be read back."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.spelling import ABSENT_NAME, OTHER_NAMES, escape_json, read_name, shorten, spell

NAMES = st.text(
    st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("⟦⟧U+27E6 \u200b\u202e\u0301none")), min_size=1
)


@pytest.mark.parametrize(
    ("name", "spelling"),
    [
        ("search", "search"),
        ("Größe 漢字 עברית 🙂", "Größe 漢字 עברית 🙂"),
        (" ", "⟦U+0020⟧"),
        (" a  b ", "⟦U+0020⟧a ⟦U+0020⟧b⟦U+0020⟧"),
        ("a\u200bb", "a⟦U+200B⟧b"),
        ("\u202egpj.exe", "⟦U+202E⟧gpj.exe"),
        ("a\nb\tc\x00", "a⟦U+000A⟧b⟦U+0009⟧c⟦U+0000⟧"),
        ("\u3164\u2800\u00a0\ufe0f\U000e0041", "⟦U+3164⟧⟦U+2800⟧⟦U+00A0⟧⟦U+FE0F⟧⟦U+E0041⟧"),
        ("\u0301a", "⟦U+0301⟧a"),
        ("a" + "\u0301" * 4, "a\u0301\u0301⟦U+0301⟧⟦U+0301⟧"),
        ("(none)", "(none)"),
        ("(other)", "(other)"),
        (ABSENT_NAME, "⟦U+27E6⟧none⟧"),
        (OTHER_NAMES, "⟦U+27E6⟧other⟧"),
        ("⟦U+200B⟧", "⟦U+27E6⟧U+200B⟧"),
        ("", ABSENT_NAME),
    ],
)
def test_a_name_is_seen(name: str, spelling: str) -> None:
    assert spell(name) == spelling and read_name(spelling) == name


@given(NAMES)
def test_a_name_is_read_back_and_is_neither_absent_nor_the_rest(name: str) -> None:
    spelling = spell(name)
    assert read_name(spelling) == name and spelling not in (ABSENT_NAME, OTHER_NAMES) and spelling.strip() == spelling


@given(st.text())
def test_any_text_is_read_as_something(text: str) -> None:
    read_name(text)


def test_a_code_that_is_no_sign_stays_as_it_stands() -> None:
    assert read_name("⟦U+FFFFFF⟧") == "⟦U+FFFFFF⟧"


def test_a_long_text_is_cut_and_says_so() -> None:
    assert shorten("x" * 10_000) == "x" * 200 + "… (10,000 characters)"
    assert shorten("") == ""


@given(st.dictionaries(NAMES, NAMES))
def test_json_with_its_invisible_signs_written_out_says_the_same(value: dict[str, str]) -> None:
    text = escape_json(json.dumps(value, ensure_ascii=False, indent=2))
    assert json.loads(text) == value and "\u202e" not in text and "\u200b" not in text
