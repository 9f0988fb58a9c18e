"""Every field that a source may lack has an attribute, a metadata key and a header, which lead back to it."""

import re
from pathlib import Path

import pytest

from tallystick.vocabulary.attribute_names import (
    NAMED_FIELDS,
    attribute_name,
    field_of_attribute,
    field_of_header,
    header_name,
    read_attributes,
    read_headers,
)
from tallystick.vocabulary.fitting import fit_fields


@pytest.mark.parametrize("field", NAMED_FIELDS)
def test_a_name_leads_back_to_its_field(field: str) -> None:
    assert field_of_attribute(attribute_name(field)) == field
    for header in (header_name(field), header_name(field).lower(), header_name(field).upper()):
        assert field_of_header(header) == field


@pytest.mark.parametrize("name", ["team", "tallystick.", "tallystick.tokens", "tallystick.tags.", "gen_ai.usage", ""])
def test_an_attribute_of_another_name_carries_no_field(name: str) -> None:
    assert field_of_attribute(name) is None


@pytest.mark.parametrize("name", ["Team", "Tallystick-", "Tallystick-Tokens", "Tallystick-Usage-Source", "Tallystick"])
def test_a_header_of_another_name_carries_no_field(name: str) -> None:
    assert field_of_header(name) is None


def test_attributes_and_headers_become_fields_that_fit() -> None:
    attributes = {"tallystick.team": 7, "tallystick.tags.region": "eu", "tallystick.tags": {"a": 1}, "other": "x"}
    assert read_attributes(attributes) == {"team": 7, "tags": {"a": 1, "region": "eu"}}
    headers = [("tallystick-team", "core"), ("Tallystick-Tags-Cost-Center", "9"), ("TALLYSTICK-ACTING-FOR", "a, b")]
    assert read_headers(headers) == {"team": "core", "tags": {"cost_center": "9"}, "acting_for": ["a", "b"]}


def test_a_name_that_carries_no_field_is_left_out_and_not_in_silence() -> None:
    fields = read_attributes({"tallystick.tokens": "9", "tallystick.teem": "core"}) | read_headers(
        [("Tallystick-X", "1")]
    )
    assert fit_fields(fields).left_out == ("tallystick-x", "tallystick.teem", "tallystick.tokens")


def test_the_page_has_every_name() -> None:
    page = (Path(__file__).parents[3] / "docs" / "vocabulary.md").read_text()
    section = page.split("## Names for fields that a source does not have")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(.+)` \| `(.+)` \| `(.+)` \|$", section, re.MULTILINE)
    names = {field: (attribute_name(field), header_name(field)) for field in NAMED_FIELDS}
    names["tags"] = ("tallystick.tags.<name>", "Tallystick-Tags-<Name>")
    assert [(field, *names[field]) for field in NAMED_FIELDS] == rows
