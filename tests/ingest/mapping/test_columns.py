"""Paths into rows: names that hold dots, lists, and JSON in cells."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.mapping.columns import MISSING, find_value, is_absent, list_names

NAME = st.sampled_from(["a", "b", "a.b", "0", "b.a", "c"])
TREE = st.recursive(
    st.integers(0, 9),
    lambda inner: st.dictionaries(NAME, inner, max_size=3) | st.lists(inner, max_size=2),
    max_leaves=6,
)


@pytest.mark.parametrize(
    ("row", "column", "value"),
    [
        ({"a": 1}, "a", 1),
        ({"a": None}, "a", None),
        ({"a.b": 1, "a": {"b": 2}}, "a.b", 1),
        ({"a": {"b": 2}}, "a.b", 2),
        ({"gen_ai.usage": {"input.tokens": 3}}, "gen_ai.usage.input.tokens", 3),
        ({"a": {"b": 1}, "a.b": {"d": 2}}, "a.b.d", 2),
        ({"a": {"b": {"c": 1}}, "a.b": {"d": 2}}, "a.b.c", 1),
        ({"metadata": '{"usage_object": {"cached_tokens": 7}}'}, "metadata.usage_object.cached_tokens", 7),
        ({"metadata": '{"inner": "{\\"n\\": 7}"}'}, "metadata.inner.n", 7),
        ({"choices": [{"x": 5}, {"x": 6}]}, "choices.1.x", 6),
        ({"choices": '[{"x": 5}]'}, "choices.0.x", 5),
        ({"m": '{"n": NaN}'}, "m.n", None),
        ({"choices": [{"x": 5}]}, "choices.1.x", MISSING),
        ({"choices": [{"x": 5}]}, "choices.-1.x", MISSING),
        ({"choices": [5]}, "choices.²", MISSING),
        ({"m": "{not JSON"}, "m.n", MISSING),
        ({"m": "[" * 100_000}, "m.0", MISSING),
        ({"m": "text"}, "m.n", MISSING),
        ({"a": 1}, "a.b", MISSING),
        ({"a": 1}, "b", MISSING),
    ],
)  # fmt: skip
def test_a_path_leads_to_its_value(row: dict[str, Any], column: str, value: Any) -> None:
    found = find_value(row, column)
    assert found is value if value is MISSING else found == value


@given(row=st.dictionaries(NAME, TREE, min_size=1))
def test_every_name_of_a_row_is_addressable(row: dict[str, Any]) -> None:
    for name in list_names(row, max_depth=9):
        assert find_value(row, name) is not MISSING
        assert find_value({"cell": json.dumps(row)}, f"cell.{name}") is not MISSING


@pytest.mark.parametrize(
    "value", [None, MISSING, "", "  ", "NaN", " null ", "NULL", "\\N", float("nan"), Decimal("sNaN")]
)
def test_what_databases_write_for_an_absent_value_is_absent(value: Any) -> None:
    assert is_absent(value)


@pytest.mark.parametrize("value", [0, False, "0", "-", "n/a", "none", [], {}, float("inf")])
def test_other_values_are_not_absent_until_they_are_named(value: Any) -> None:
    assert not is_absent(value)
    assert is_absent(" - ", frozenset({"-"}))
