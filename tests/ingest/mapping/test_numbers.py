"""Numbers in the forms that a mapping names; nothing is guessed."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ingest.intake.rejection import Rejection
from ingest.mapping.numbers import NumberForm, NumberReader


def read(value: Any, **form: Any) -> tuple[Decimal, str | None]:
    return NumberReader("n", NumberForm(**form)).read(value)


EURO = {"currency": {"€": "EUR", "EUR": "EUR", "$": "USD", "US$": "USD"}}


@pytest.mark.parametrize(
    ("value", "form", "number", "currency"),
    [
        ("1000", {}, "1000", None),
        (" 1000 \n", {}, "1000", None),
        ("1000.0", {}, "1000", None),
        ("1e3", {}, "1000", None),
        ("4.5e-3", {}, "0.0045", None),
        (12.5, {}, "12.5", None),
        ("1,000", {"thousands": ","}, "1000", None),
        ("1,234,567.89", {"thousands": ","}, "1234567.89", None),
        ("12,34,567", {"thousands": ","}, "1234567", None),
        ("1000", {"thousands": ","}, "1000", None),
        ("1.234.567,89", {"thousands": ".", "decimal": ","}, "1234567.89", None),
        ("1\u202f234,5", {"thousands": " ", "decimal": ","}, "1234.5", None),
        ("1\u2019234.5", {"thousands": "'"}, "1234.5", None),
        ("1_000", {"thousands": "_"}, "1000", None),
        ("0,0045", {"decimal": [".", ","]}, "0.0045", None),
        ("0.0045", {"decimal": [".", ","]}, "0.0045", None),
        ("$0.0045", EURO, "0.0045", "USD"),
        ("US$ 1", EURO, "1", "USD"),
        ("0.5 €", EURO, "0.5", "EUR"),
        ("EUR 0.5", EURO, "0.5", "EUR"),
        ("-$0.5", EURO, "-0.5", "USD"),
        ("0.5", EURO, "0.5", None),
        ("$1,000.50", {"thousands": ",", **EURO}, "1000.50", "USD"),
    ],
)
def test_a_number_is_read_in_the_form_that_is_named(value: Any, form: Any, number: str, currency: str | None) -> None:
    assert read(value, **form) == (Decimal(number), currency)


@pytest.mark.parametrize(
    ("value", "form", "way_out"),
    [
        ("1,000", {}, "thousands"),
        ("1 000", {}, "thousands"),
        ("0,0045", {}, "decimal"),
        ("0,0045", {"thousands": ","}, "decimal"),
        ("1,00", {"thousands": ","}, "decimal"),
        ("1.000,5", {"decimal": [".", ","]}, "thousands"),
        ("$0.0045", {}, "currency"),
        ("0.5 EUR", {}, "currency"),
        ("-", {}, "absent: ['-']"),
        ("N/A", {}, "absent: ['N/A']"),
        ("50%", {}, "percentage"),
        ("a secret word", {}, "plain digits"),
        ("9" * 100, {}, "plain digits"),
        (True, {}, "plain digits"),
        (float("inf"), {}, "plain digits"),
        ([1], {}, "plain digits"),
    ],
)
def test_another_form_is_refused_with_the_key_that_names_it(value: Any, form: Any, way_out: str) -> None:
    with pytest.raises(Rejection) as refused:
        read(value, **form)
    assert way_out in refused.value.reason and "secret" not in refused.value.reason


def test_one_sign_has_one_meaning() -> None:
    for form in ({"thousands": ".", "decimal": "."}, {"thousands": ",", "decimal": [".", ","]}, {"thousands": "."}):
        with pytest.raises(ValidationError, match="separator of thousands and for the decimal sign"):
            NumberForm(**form)


@given(number=st.decimals(-(10**9), 10**9, allow_nan=False, places=4), thousands=st.sampled_from([",", " ", "'", "_"]))
def test_what_is_written_with_separators_is_read_back(number: Decimal, thousands: str) -> None:
    text = f"{number:,.4f}".replace(",", thousands)
    assert read(text, thousands=thousands) == (number, None)
    assert read(f"{number:.4f}".replace(".", ","), decimal=",") == (number, None)
