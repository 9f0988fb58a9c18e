"""Usage of unknown cost in words."""

from decimal import Decimal

import pytest

from dashboards.components.unknown_usage import describe_bounds
from dashboards.sources.usage import Unknown


@pytest.mark.parametrize(
    ("amounts", "unbounded_calls", "text"),
    [
        ({"USD": "3.1"}, 0, "at most $3.10"),
        ({"EUR": "2", "USD": "3.1"}, 0, "at most €2.00 and $3.10"),
        ({"EUR": "2", "USD": "3.1"}, 1, "at most €2.00 and $3.10, and 1 call without an upper bound"),
        ({"USD": "0"}, 4, "no upper bound"),
    ],
)
def test_bounds_of_several_currencies_are_not_added_up(
    amounts: dict[str, str], unbounded_calls: int, text: str
) -> None:
    unknown = Unknown(2, 1, 1, 0, Decimal(0), unbounded_calls)
    bounds = [(currency, Decimal(amount)) for currency, amount in amounts.items()]
    assert describe_bounds(unknown, bounds) == text
