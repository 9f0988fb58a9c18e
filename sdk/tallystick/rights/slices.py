"""Slices: the amounts of a lease in memory, from which its holder admits calls as the ledger would (R19).

A slice admits only calls that are within the lease's set, that have its scopes in every dimension in which anything is
granted, and whose worst case can be told exactly as an ask's: by their tokens and the greatest prices that the lease's
answer says. Whatever else is asked is for the ledger.
"""

import threading
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from tallystick.rights.leased_names import write_leased_name
from tallystick.rights.sets import FIELDS, InferenceSet

MONEY = ("billed", "notional")
PRICED_FIELDS = ("provider", "model", "region", "service_tier")
ORGANIZATION = "organization"
ADMISSION_TTL_S = 900
"""Seconds for which a reservation holds where an ask does not say it."""
MAX_VERDICTS = 1_000
PICO_DIGITS = 12

Shape = tuple[str | None, ...]
"""The values of ``PRICED_FIELDS``."""


class Price(NamedTuple):
    """The greatest prices of a call: in pico, a call's own and those of a token of input and of output in each tier."""

    currency: str
    per_call: int
    tiers: tuple[tuple[int, int, int], ...]  # above, input, output; rising

    def bound_cost(self, input_tokens: int, output_tokens: int, calls: int) -> int:
        """Return the most that calls of so many tokens together may cost."""
        tokens = input_tokens + output_tokens
        prices = ((price, output_price) for above, price, output_price in reversed(self.tiers) if tokens > above)
        input_price, output_price = next(prices, (0, 0))
        return self.per_call * calls + input_tokens * input_price + output_tokens * output_price


class Draw(NamedTuple):
    """An admission from a slice: its name, and the amounts that were taken for it, by measure."""

    name: str
    amounts: dict[str, int]


class Slice:
    """The amounts of one lease, which threads share. ``answer`` is the ledger's to the lease. ``admits_until_s`` and
    ``expires_s`` are of the holder's clock, counted from before it asked. ``scopes`` and ``grant`` are those of the
    asks that it admits."""

    def __init__(
        self, answer: Mapping[str, Any], scopes: Mapping[str, str], admits_until_s: float, expires_s: float,
        grant: str | None = None,
    ) -> None:  # fmt: skip
        self.lease: str = answer["lease"]
        self.answer = answer
        self.admits_until_s, self.expires_s = admits_until_s, expires_s
        self.granted = read_amounts(answer["amounts"])
        self.prices = {read_shape(price): _read_price(price) for price in answer.get("prices") or ()}
        self._remainder = dict(self.granted)
        self._currency, self._has_money = answer.get("currency"), any(measure in MONEY for measure in self.granted)
        self._allow = InferenceSet.build(answer["allow"])
        dimensions = [dimension for dimension in answer["dimensions"] if dimension != ORGANIZATION]
        values = {dimension: scopes.get(dimension) for dimension in dimensions} | {"grant": grant}
        self._scopes, self._fields = tuple(values.values()), (*values, *FIELDS.values(), *PRICED_FIELDS)
        self._verdicts: dict[tuple[Any, ...], bool] = {}
        self._lock = threading.Lock()
        self._admitted = 0
        self._is_closed = False

    @property
    def is_closed(self) -> bool:
        return self._is_closed

    def admit(self, ask: Mapping[str, Any], now_s: float) -> Draw | None:
        """Take what a call may cost at most, and name its admission; None where the ledger is to be asked. All texts of
        the ask are strings, and all counts whole."""
        ttl_s = ask.get("ttl_s") or ADMISSION_TTL_S
        if now_s >= self.admits_until_s or now_s + ttl_s > self.expires_s or not self.is_for(ask):
            return None
        amounts = self.bound_amounts(ask)
        if amounts is None:
            return None
        remainder = self._remainder
        with self._lock:
            if self._is_closed:
                return None
            for measure, amount in amounts.items():
                if amount > remainder[measure]:
                    return None
            for measure, amount in amounts.items():
                remainder[measure] -= amount
            self._admitted += 1
            number = self._admitted
        return Draw(write_leased_name(self.lease, number, amounts), amounts)

    def is_for(self, ask: Mapping[str, Any]) -> bool:
        """Tell whether an ask has the scopes of the lease and lies within its set."""
        values = tuple([ask.get(field) for field in self._fields])
        verdict = self._verdicts.get(values)
        if verdict is None:
            call = {dimension: ask.get(field) for dimension, field in FIELDS.items()}
            verdict = values[: len(self._scopes)] == self._scopes and self._allow.contains(call)
            if len(self._verdicts) >= MAX_VERDICTS:
                self._verdicts.clear()
            self._verdicts[values] = verdict
        return verdict

    def bound_amounts(self, ask: Mapping[str, Any]) -> dict[str, int] | None:
        """Return the most that a call may take of each measure of the lease; None where that is not known here."""
        calls = ask.get("calls") or 1
        input_tokens, output_tokens, cost = ask.get("input_tokens"), ask.get("max_tokens"), 0
        is_counted = input_tokens is not None and output_tokens is not None
        if self._has_money:
            price = self.prices.get((ask.get("provider"), ask.get("model"), ask.get("region"), ask.get("service_tier")))
            if price is None or price.currency != self._currency or not is_counted:
                return None
            cost = price.bound_cost(input_tokens, output_tokens, calls)  # type: ignore[arg-type]  # they are counted
        amounts: dict[str, int] = {}
        for measure in self.granted:
            if measure == "calls":
                amounts[measure] = calls
            elif measure == "tokens":
                if not is_counted:
                    return None
                amounts[measure] = input_tokens + output_tokens  # type: ignore[operator]
            else:
                amounts[measure] = 0 if measure == "billed" and ask.get("payer") == "customer" else cost
        return amounts

    def give_back(self, draw: Draw) -> bool:
        """Take an admission back whose call is not made. False where the slice is closed: then it is to be returned."""
        with self._lock:
            if self._is_closed:
                return False
            for measure, amount in draw.amounts.items():
                self._remainder[measure] += amount
            return True

    @property
    def left(self) -> dict[str, int]:
        return dict(self._remainder)

    def is_used(self) -> bool:
        """Tell whether any call was admitted."""
        return self._admitted > 0

    def describe_charges(self, draw: Draw) -> list[dict[str, Any]]:
        """Describe what an admission takes of each limit, as the ledger describes a reservation."""
        charges = []
        for charge in self.answer["leased"]:
            measure = charge["limit"].partition("/")[0]
            amount = draw.amounts[measure]
            amount_text = write_pico(amount) if measure in MONEY else amount
            charges.append({"grant": charge["grant"], "limit": charge["limit"], "amount": amount_text})
        return charges

    def is_low(self) -> bool:
        """Tell whether less than half of a measure is left."""
        return any(2 * amount < self.granted[measure] for measure, amount in self._remainder.items())

    def close(self) -> dict[str, int]:
        """Admit nothing any more, and return what is left of each measure, once."""
        with self._lock:
            unused = {} if self._is_closed else dict(self._remainder)
            self._is_closed = True
        return unused


def read_amounts(amounts: Mapping[str, Any]) -> dict[str, int]:
    """Read amounts by measure, money in pico."""
    return {measure: read_pico(amount) if measure in MONEY else int(amount) for measure, amount in amounts.items()}


def write_amounts(amounts: Mapping[str, int]) -> dict[str, str | int]:
    """Write amounts by measure, money in its unit."""
    return {measure: write_pico(amount) if measure in MONEY else amount for measure, amount in amounts.items()}


def write_lease_amounts(amounts: Mapping[str, int], currency: str) -> dict[str, str | int]:
    """Write amounts as an event of a lease has them: with their currency where some are money."""
    return write_amounts(amounts) | ({"currency": currency} if any(measure in MONEY for measure in amounts) else {})


def read_shape(fields: Mapping[str, Any]) -> Shape:
    """Read the shape of an ask, or of a price."""
    return tuple(fields.get(field) for field in PRICED_FIELDS)


def write_shapes(shapes: Iterable[Shape]) -> list[dict[str, str]]:
    """Write shapes as an event of a lease names the models whose prices it asks for."""
    return [
        {field: value for field, value in zip(PRICED_FIELDS, shape, strict=True) if value is not None}
        for shape in shapes
    ]


def read_pico(amount: str) -> int:
    """Read money, with at most twelve decimals, as a whole number of pico."""
    units, _, decimals = amount.partition(".")
    return int(units + decimals.ljust(PICO_DIGITS, "0"))


def write_pico(amount: int) -> str:
    units, decimals = divmod(amount, 10**PICO_DIGITS)
    return f"{units}.{decimals:0{PICO_DIGITS}}"


def _read_price(price: Mapping[str, Any]) -> Price:
    tiers = [(tier["above"], read_pico(tier["input"]), read_pico(tier["output"])) for tier in price["tiers"]]
    return Price(price["currency"], read_pico(price["per_call"]), tuple(tiers))
