"""Adaptive estimates: what the calls of a grant really cost, as a share of the most that each could.

A share and no amount is kept, since an ask says its own greatest cost: a longer prompt, or fewer tokens at most, move
the estimate with it. Of the last hundred calls of a grant and a model the share at a quantile is taken, by rank: with
n shares a next call like them is above the one of rank q (n + 1) with a probability of at most 1 - q. Where there are
too few for that rank, the greatest share stands for it, and below twenty the greatest cost itself.
"""

from typing import NamedTuple

from streams.folds.grants.limits import MONEY, Amounts
from streams.folds.grants.meters import NAME
from streams.folds.state import Key, State

HISTORY, SAMPLE = "history", "sample"
MAX_SAMPLES, MIN_SAMPLES = 100, 20
WHOLE_PPM = 1_000_000
DAY_US = 86_400_000_000
FORGOTTEN_AFTER_DAYS = 30
"""Days without a call after which a history is forgotten."""


class Shares(NamedTuple):
    """The cost of a call as a share of the most that it could cost, in parts per million."""

    billed: int
    notional: int
    tokens: int


class Basis(NamedTuple):
    """The most that an admitted call may cost, and the grants and the model in whose history its share goes."""

    grants: tuple[str, ...]
    model: str
    billed: int | None
    notional: int | None
    tokens: int | None
    currency: str | None


def estimate_amounts(
    state: State, organization: str, grant: str, model: str, greatest: Amounts, quantile_ppm: int
) -> tuple[Amounts, int]:
    """Estimate what a call costs at a quantile, from the history of a grant and a model; return the number of calls
    there, too. Below twenty it is the greatest cost."""
    count = min(state.get(_history_key(organization, grant, model)) or 0, MAX_SAMPLES)
    if count < MIN_SAMPLES:
        return greatest, count
    samples = [state.get((NAME, SAMPLE, organization, grant, model, slot)) for slot in range(count)]
    rank = min(count, -(-quantile_ppm * (count + 1) // WHOLE_PPM))
    shares = Shares(*(sorted(column)[rank - 1] for column in zip(*samples, strict=True)))
    return greatest._replace(
        billed=_take_share(greatest.billed, shares.billed),
        notional=_take_share(greatest.notional, shares.notional),
        tokens=_take_share(greatest.tokens, shares.tokens),
    ), count


def add_sample(state: State, organization: str, basis: Basis, amounts: Amounts, now_us: int) -> None:
    """Add what an admitted call cost to the histories of its grants. What is not known cost all that it could."""
    known_meters = set(MONEY if amounts.currency in (None, basis.currency) else ()).difference(amounts.unknown_meters)
    shares = Shares(
        _find_share(amounts.billed if "billed" in known_meters else None, basis.billed),
        _find_share(amounts.notional if "notional" in known_meters else None, basis.notional),
        _find_share(amounts.tokens, basis.tokens),
    )
    due_us = (now_us // DAY_US + FORGOTTEN_AFTER_DAYS + 1) * DAY_US
    for grant in basis.grants:
        key = _history_key(organization, grant, basis.model)
        number = state.get(key) or 0
        state.put((NAME, SAMPLE, organization, grant, basis.model, number % MAX_SAMPLES), shares)
        state.put(key, number + 1, due_us)


def forget_history(state: State, key: Key) -> None:
    """Forget the calls of a grant and a model."""
    for slot in range(min(state.get(key), MAX_SAMPLES)):
        state.delete((NAME, SAMPLE, *key[2:], slot))
    state.delete(key)


def _history_key(organization: str, grant: str, model: str) -> Key:
    return NAME, HISTORY, organization, grant, model


def _find_share(amount: int | None, greatest: int | None) -> int:
    if amount is None or greatest is None:
        return WHOLE_PPM
    return 0 if amount <= 0 else min(WHOLE_PPM, -(-amount * WHOLE_PPM // greatest)) if greatest else WHOLE_PPM


def _take_share(greatest: int | None, share_ppm: int) -> int | None:
    return None if greatest is None else -(-greatest * share_ppm // WHOLE_PPM)
