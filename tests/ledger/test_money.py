"""Exact money: what goes in comes out, and nothing is rounded in between."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.money import pico, round_rate, text


@given(st.integers(-(10**30), 10**30))
def test_text_and_pico_are_inverse(amount: int) -> None:
    assert pico(text(amount)) == amount
    assert len(text(amount).split(".")[1]) == 12


def test_a_finer_amount_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 12 decimals"):
        pico("0.0000000000001")


@pytest.mark.parametrize(
    ("rate", "rounded"), [("0.18000000000000002", "0.18"), ("0.0000005", "0"), ("0.0000015", "0.000002")]
)
def test_rates_round_half_to_even(rate: str, rounded: str) -> None:
    assert round_rate(Decimal(rate), 6) == Decimal(rounded)
