"""Limits of a grant, and what a call is worth in each."""

from typing import Literal, NamedTuple

import msgspec

from ledger.money import text
from streams.folds.grants.windows import Window

Measure = Literal["billed", "notional", "tokens", "calls"]
AtLimit = Literal["warn", "downgrade", "throttle", "deny"]
STRICTNESS: tuple[AtLimit, ...] = ("warn", "downgrade", "throttle", "deny")
MONEY = ("billed", "notional")
DEFAULT_THRESHOLDS = (50, 80, 100)
EXHAUSTED = 100


class Limit(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A limit of a grant: so much of a measure in a window. Money is in pico."""

    meter: Measure
    amount: int
    window: Window = Window()
    currency: str = ""  # of money
    at_limit: AtLimit = "deny"
    downgrade_to: str | None = None
    unknown_usage: str = "assume_greatest"
    thresholds: tuple[int, ...] = DEFAULT_THRESHOLDS
    floor: int = 0  # that the parent's limit of this identity keeps
    lend: int = 0  # of an unused floor, to others

    @property
    def key(self) -> str:
        """Return the identity of the limit within its grant, for example ``billed/USD/3600s``."""
        return f"{self.meter}/{self.currency}/{self.window.key}"

    @property
    def is_enforced(self) -> bool:
        return self.at_limit != "warn"

    @property
    def crossable_thresholds(self) -> tuple[int, ...]:
        """Return the thresholds that are told, rising: those that are named, and 100, which is told always."""
        return self.thresholds if EXHAUSTED in self.thresholds else tuple(sorted((*self.thresholds, EXHAUSTED)))

    @property
    def guarantee(self) -> int:
        """Return the part of the floor that nobody else may use."""
        return max(0, self.floor - self.lend)


class Amounts(NamedTuple):
    """The worth of a call: money in pico of one currency, tokens, calls. None is not known; without a price there is
    no currency either. ``bound`` is the most that everything without a price may cost beside the money, which is not
    known where ``is_unknown``; what is billed is, on a customer's own key."""

    billed: int | None = None
    notional: int | None = None
    currency: str | None = None
    tokens: int | None = 0
    calls: int = 1
    bound: int | None = None
    is_unknown: bool = False
    is_own_key: bool = False

    @property
    def unknown_meters(self) -> tuple[str, ...]:
        """Return the meters of money of which the worth is not known."""
        if not self.is_unknown:
            return ()
        return ("notional",) if self.is_own_key else MONEY


def is_measured(limit: Limit, amounts: Amounts) -> bool:
    """Tell whether a limit counts a call: not where its money is of another currency."""
    return limit.meter not in MONEY or amounts.currency in (None, limit.currency)


def measure(limit: Limit, amounts: Amounts) -> int | None:
    """Return what a call is worth to a limit that counts it; None where that is not known."""
    amount: int | None = getattr(amounts, limit.meter)
    return None if amount is None or limit.meter in amounts.unknown_meters else amount


def measure_actual(limit: Limit, amounts: Amounts, reserved: int) -> int:
    """Return what a call that was made counts in a limit that counts it. Of what is not known, the policy says what it
    is worth: nothing, or its bound, or where nothing bounds it all that was reserved."""
    amount: int = getattr(amounts, limit.meter) or 0
    if measure(limit, amounts) is not None or limit.unknown_usage == "tokens_only":
        return amount
    if limit.meter in MONEY and amounts.bound is not None:
        return amount + amounts.bound
    return max(amount, reserved)


def write_amount(meter: str, amount: int) -> str | int:
    """Write an amount of a meter for decisions: money as an exact text, tokens and calls as they are."""
    return text(amount) if meter in MONEY else amount
