"""Precision by people's labels."""

import pytest

from dashboards.pages.incidents.precision import describe_precision, estimate_precision


def test_too_few_labels_say_nothing() -> None:
    assert estimate_precision(4, 0) is None
    assert describe_precision(2, 2) == "too few labels"


@pytest.mark.parametrize(
    ("right", "wrong", "text"), [(8, 2, "80% (49–94%)"), (5, 0, "100% (57–100%)"), (0, 10, "0% (0–28%)")]
)
def test_the_interval_is_wilsons(right: int, wrong: int, text: str) -> None:
    assert describe_precision(right, wrong) == text
