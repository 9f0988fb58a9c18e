"""Price bounds: the greatest prices of the calls that a lease is for, by which its holder bounds their cost as an ask
is bounded (docs/rules.md, R12)."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from msgspec.structs import replace

from streams.folds import rating
from streams.folds.call import convert_call
from streams.folds.entry import Documents
from streams.folds.event import Event
from streams.folds.prices.offer import HourlyPrice
from streams.folds.state import State
from streams.folds.unknown_usage import add_bounds, bound_quantities, find_greatest_prices

REQUESTS = "requests"


class PriceTier(NamedTuple):
    """The greatest prices of a token of input and of output, in pico, of calls with more tokens than ``above``."""

    above: int
    input: int
    output: int


class PriceBound(NamedTuple):
    """The prices by which calls are bounded: of a call, and of its tokens by rising tiers. Money is in pico."""

    currency: str
    per_call: int
    tiers: tuple[PriceTier, ...]


def find_price_bound(
    event: Event, fields: Mapping[str, Any], now_us: int, state: State, documents: Documents
) -> PriceBound | None:
    """Return the prices of calls with these fields, by the price books in force; None where no figures bound one."""
    call = convert_call(dict(fields))
    assert call is not None, "a request fits the vocabulary"
    offer = rating.find_bounding_offer(replace(event, time_us=now_us, call=call), call, state, documents)
    if offer is None or any(isinstance(price, HourlyPrice) for price in offer.bound_prices.get(REQUESTS, ())):
        return None
    per_call = add_bounds(*bound_quantities(call, offer))
    tiers = []
    for tier in (-1, *offer.tiers):
        prices = find_greatest_prices(offer, tier)
        if per_call is None or prices is None:
            return None
        tiers.append(PriceTier(max(tier, 0), *prices))
    return PriceBound(offer.currency, per_call or 0, tuple(tiers))
