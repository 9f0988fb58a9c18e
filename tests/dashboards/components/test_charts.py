"""The axis of amounts: ticks differ, however small the amounts are, and counts are whole."""

import pytest

from dashboards.components.charts import build_amount_axis


@pytest.mark.parametrize(
    ("greatest", "digits"),
    [(0.0, "2"), (12_345.0, "2"), (3.0, "2"), (0.5, "3~"), (0.00002, "7~"), (0.0000000003, "12~")],
)
def test_ticks_differ_however_small_the_amounts_are(greatest: float, digits: str) -> None:
    assert f",.{digits}f" in build_amount_axis(greatest, "USD").to_dict()["labelExpr"]


@pytest.mark.parametrize(
    ("currency", "before", "after"),
    [("USD", '"$"', '""'), ("EUR", '"€"', '""'), ("CHF", '""', '" CHF"'), ("", '""', '""')],
)
def test_a_currency_stands_where_people_write_it(currency: str, before: str, after: str) -> None:
    expression = build_amount_axis(1.0, currency).to_dict()["labelExpr"]
    assert expression.startswith(f"{before} + ")
    assert expression.endswith(f" + {after}")


def test_counts_are_whole() -> None:
    assert build_amount_axis(2.0).to_dict()["tickMinStep"] == 1
