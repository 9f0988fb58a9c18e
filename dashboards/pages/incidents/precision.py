"""How often a detector is right, by what people said of its alerts (pure)."""

from math import sqrt
from typing import NamedTuple

MIN_LABELS = 5
"""Labels below which nothing is said of a detector."""

Z = 1.959963984540054
"""Quantile of the normal distribution for an interval of 95 %."""


class Precision(NamedTuple):
    """The share of alerts that were right, and its interval of 95 %, each from 0 to 1."""

    share: float
    lower: float
    upper: float


def estimate_precision(right: int, wrong: int) -> Precision | None:
    """Estimate it with Wilson's score interval (1927); None where too few alerts have a label."""
    labels = right + wrong
    if labels < MIN_LABELS:
        return None
    share = right / labels
    center = (share + Z**2 / (2 * labels)) / (1 + Z**2 / labels)
    reach = Z * sqrt(share * (1 - share) / labels + Z**2 / (4 * labels**2)) / (1 + Z**2 / labels)
    return Precision(share, max(0.0, center - reach), min(1.0, center + reach))


def describe_precision(right: int, wrong: int) -> str:
    """Say it in percent: ``80% (49–94%)``."""
    estimate = estimate_precision(right, wrong)
    if estimate is None:
        return "too few labels"
    return f"{estimate.share:.0%} ({estimate.lower * 100:.0f}–{estimate.upper:.0%})"
