"""Limits of grants, and what a call is worth in each (docs/rules.md, R18.3)."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from audit.verify.rights.windows import Window, read_window
from ledger.money import PICO, text

MONEY = ("billed", "notional")
ANSWERS = ("allow", "downgrade", "throttle", "deny")
"""Answers to an ask, the milder before the stricter."""
AT_LIMIT = ("warn", *ANSWERS[1:])
"""The same of a limit that has no room."""


class Limit(msgspec.Struct, frozen=True):
    """So much of a measure in a window; money in 10^-12 of a currency."""

    meter: str
    amount: int
    window: Window = Window()
    currency: str = ""
    at_limit: str = "deny"
    downgrade_to: str | None = None
    unknown_usage: str = "assume_greatest"
    thresholds: tuple[int, ...] = (50, 80, 100)
    floor: int = 0
    lend: int = 0

    @property
    def guarantee(self) -> int:
        """Return the part of the floor that nobody else may use."""
        return max(0, self.floor - self.lend)

    @property
    def told_percents(self) -> list[int]:
        """List the percents that are told, rising: 100 is always one."""
        return sorted({*self.thresholds, 100})

    @property
    def key(self) -> str:
        """Return the identity of the limit within its grant."""
        return f"{self.meter}/{self.currency}/{self.window.key}"

    @property
    def is_enforced(self) -> bool:
        return self.at_limit != "warn"


class Amounts(NamedTuple):
    """The worth of a call. An amount that is None is not known. ``bound_cost`` is the most that may come to its money,
    which is not known where ``is_unknown``, but for what is billed where ``is_customer_paid``."""

    billed: int | None = None
    notional: int | None = None
    currency: str | None = None
    tokens: int | None = 0
    calls: int = 1
    bound_cost: int | None = None
    is_unknown: bool = False
    is_customer_paid: bool = False


def read_limits(bodies: list[Mapping[str, Any]] | None) -> dict[str, Limit]:
    """Read the limits of a record of a grant, by their identities."""
    limits = [
        Limit(
            body["meter"],
            _read_amount(body, "amount"),
            read_window(body.get("window")),
            body.get("currency") or "",
            body.get("at_limit") or "deny",
            body.get("downgrade_to"),
            body.get("unknown_usage") or "assume_greatest",
            tuple(sorted(set(body.get("thresholds") or (50, 80, 100)))),
            _read_amount(body, "floor"),
            _read_amount(body, "lend"),
        )
        for body in bodies or ()
    ]
    return {limit.key: limit for limit in limits}


def _read_amount(body: Mapping[str, Any], field: str) -> int:
    return int(Decimal(str(body.get(field) or 0)) * (PICO if body["meter"] in MONEY else 1))


def is_counted(limit: Limit, amounts: Amounts) -> bool:
    """Tell whether a limit counts a call: one of money none in another currency."""
    return limit.meter not in MONEY or amounts.currency in (None, limit.currency)


def measure(limit: Limit, amounts: Amounts) -> int | None:
    """Return the worth of a call in a limit that counts it; None where that is not known."""
    amount: int | None = getattr(amounts, limit.meter)
    match limit.meter:
        case "billed" if amounts.is_unknown and not amounts.is_customer_paid:
            return None
        case "notional" if amounts.is_unknown:
            return None
    return amount


def measure_call(limit: Limit, amounts: Amounts, reserved_amount: int) -> int:
    """Return what a call that was made counts: what is not known of it by the policy of the limit."""
    amount: int = getattr(amounts, limit.meter) or 0
    if measure(limit, amounts) is not None or limit.unknown_usage == "tokens_only":
        return amount
    if limit.meter in MONEY and amounts.bound_cost is not None:
        return amount + amounts.bound_cost
    return max(amount, reserved_amount)


def write_amount(limit_key: str, amount: int) -> str | int:
    """Write an amount of a limit: money as a decimal, tokens and calls as a number."""
    return text(amount) if limit_key.partition("/")[0] in MONEY else amount
