"""When a delivery that failed is tried again. Pure."""

AFTER_S = (5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 28_800, 28_800)
"""How long it rests after each failure: a day in all, and then it is given up."""


def next_attempt_ms(attempts: int, now_ms: int) -> int | None:
    """When the next one is due after so many failed; None where there is none."""
    return now_ms + AFTER_S[attempts - 1] * 1000 if attempts <= len(AFTER_S) else None
