"""Estimates: what is reserved in place of the most that a call may cost, and what is remembered for it."""

import math

from hypothesis import given
from hypothesis import strategies as st

from streams.folds.grants.estimates import (
    HISTORY,
    MAX_SAMPLES,
    MIN_SAMPLES,
    WHOLE_PPM,
    Basis,
    add_sample,
    estimate_amounts,
    forget_history,
)
from streams.folds.grants.limits import Amounts
from streams.folds.grants.meters import NAME
from streams.folds.state import State

DAY_US = 86_400_000_000
GREATEST = Amounts(1000, 2000, "USD", 500)
BASIS = Basis(("g",), "m", 1000, 2000, 500, "USD")


def learn(state: State, amounts: Amounts, now_us: int = 0) -> None:
    add_sample(state, "acme", BASIS, amounts, now_us)


def estimate(state: State, quantile: float) -> tuple[Amounts, int]:
    return estimate_amounts(state, "acme", "g", "m", GREATEST, int(quantile * WHOLE_PPM))


@given(st.lists(st.integers(0, 700), min_size=MIN_SAMPLES, max_size=130), st.sampled_from((0.5, 0.9, 0.95, 0.99)))
def test_an_estimate_covers_its_share_of_the_last_calls_and_is_never_above_the_most(
    tokens: list[int], quantile: float
) -> None:
    state = State()
    for count in tokens:
        learn(state, Amounts(2 * count, 4 * count, "USD", count))
    amounts, samples = estimate(state, quantile)
    last = tokens[-MAX_SAMPLES:]
    assert samples == len(last)
    assert amounts.tokens is not None and amounts.tokens <= 500
    assert sum(count <= amounts.tokens or count > 500 for count in last) >= math.ceil(quantile * len(last))
    assert amounts.tokens in {min(count, 500) for count in last}
    assert (amounts.billed, amounts.notional) == (2 * amounts.tokens, 4 * amounts.tokens)


def test_too_few_calls_and_those_of_unknown_cost_are_worth_the_most() -> None:
    state = State()
    for _ in range(MIN_SAMPLES - 1):
        learn(state, Amounts(1, 1, "USD", 1))
    assert estimate(state, 0.9) == (GREATEST, MIN_SAMPLES - 1)
    learn(state, Amounts(1, 1, "EUR", 1))
    assert estimate(state, 0.9)[0].billed == 1, "rank 19 of 20"
    assert estimate(state, 0.99)[0]._replace(tokens=None) == GREATEST._replace(tokens=None), "another currency"
    assert estimate(state, 0.99)[0].tokens == 1
    learn(state, Amounts(None, None, None, 0, bound=5, is_unknown=True))
    learn(state, Amounts(0, 0, None, 0, 0))
    assert estimate(state, 0.9)[0].billed == 1000, "rank 20 of 22: two are unknown"


def test_a_history_is_of_its_grant_and_model_and_is_forgotten() -> None:
    state = State()
    for _ in range(150):
        learn(state, Amounts(1, 1, "USD", 1), now_us=5)
    assert estimate_amounts(state, "acme", "g", "other", GREATEST, WHOLE_PPM // 2) == (GREATEST, 0)
    assert estimate_amounts(state, "acme", "other", "m", GREATEST, WHOLE_PPM // 2) == (GREATEST, 0)
    assert len(list(state.take_due(30 * DAY_US))) == 0
    ((due_us, key),) = state.take_due(31 * DAY_US)
    assert (due_us, key[:2]) == (31 * DAY_US, (NAME, HISTORY))
    forget_history(state, key)
    assert estimate(state, 0.5) == (GREATEST, 0)
    assert all(row is None for row in state.take_changes().values())
