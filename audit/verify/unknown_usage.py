"""Tell what is not known of a call's usage, and the most that it may cost (docs/rules.md, R12)."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from audit.verify.variants import CallRates, cost_of_seconds
from ledger.inference_fields import MAX_COUNT
from ledger.pricing.price_book import Hourly, PricedModel, Tiered
from ledger.token_classes import INPUT_CLASSES, INPUT_WORDS, OTHER_ENDINGS, OUTPUT_WORDS, TOKEN_CLASSES, TOKEN_WORDS

MILLION, THOUSAND = Decimal(1_000_000), Decimal(1_000)
SIDES = ("input", "output")


class Tokens(NamedTuple):
    """The tokens that a call tells: by side, where it tells them, and at least in total."""

    sides: dict[str, int]
    total: int | None

    @property
    def told(self) -> int:
        return max(sum(self.sides.values()), self.total or 0)


def is_from_cache(data: Mapping[str, Any]) -> bool:
    """Tell whether the answer came from a gateway's cache."""
    match data.get("response_cache"):
        case "hit":
            return True
        case "miss":
            return False
    return bool(data.get("cached_from"))


def is_free(data: Mapping[str, Any]) -> bool:
    """Tell whether no provider was called."""
    if is_from_cache(data):
        return True
    is_of_tool = "tool" in data and "model" not in data and "model_resolved" not in data
    if not (is_of_tool or data.get("status") == "refused") or data.get("usage_source") == "unknown":
        return False
    usage = [value for name in ("tokens", "quantities", "reported_tokens") for value in data.get(name, {}).values()]
    return sum(usage) == 0 and not _read_usage_block(data)


def find_gap(data: Mapping[str, Any]) -> str | None:
    """Return why the tokens of a call are not known; None where they are."""
    match data.get("usage_source"):
        case "missing" | "unknown" as source:
            return f"usage {source}"
    if data.get("tokens"):
        return None
    totals = data.get("reported_tokens", {})
    if sum(totals.values()):
        return "totals without classes"
    is_zero = "total" in totals or ("input" in totals and "output" in totals)
    if data.get("quantities") or is_zero:
        return None
    return "usage unknown" if _read_usage_block(data) else "usage missing"


def read_tokens(data: Mapping[str, Any], *, with_block: bool) -> Tokens:
    """Return the greatest tokens that classes, totals and usage block tell."""
    sources: list[Tokens] = []
    if classes := data.get("tokens"):
        sums = dict.fromkeys(SIDES, 0)
        for name, quantity in classes.items():
            sums["input" if name in INPUT_CLASSES else "output"] += quantity
        sources.append(Tokens(sums, None))
    if totals := data.get("reported_tokens"):
        sources.append(Tokens({side: totals[side] for side in SIDES if side in totals}, totals.get("total")))
    if with_block:
        sources.append(_count_block(_read_usage_block(data)))
    sides: dict[str, int] = {}
    for source in sources:
        for side, count in source.sides.items():
            sides[side] = max(count, sides.get(side, 0))
    return Tokens(sides, max((source.total for source in sources if source.total is not None), default=None))


def bound_tokens(tokens: Tokens, data: Mapping[str, Any], model: PricedModel, price: CallRates) -> Decimal | None:
    """Return the most that these tokens may cost; None where nothing bounds them."""
    calls = data.get("calls") or 1
    sides, total = dict(tokens.sides), tokens.total
    window = model.context_window * calls if model.context_window else None
    if total is None:
        if "output" not in sides and "max_tokens" in data:
            sides["output"] = data["max_tokens"] * calls
        absent = [side for side in SIDES if side not in sides]
        if absent and window is None:
            return None
        if len(absent) == 2:
            total = window
        elif absent and window is not None:
            sides[absent[0]] = max(0, window - sum(sides.values()))
    count = max(sum(sides.values()), total or 0)
    if count == 0:
        return Decimal(0)
    rates = find_greatest_rates(price, data.get("context_tier"), count)
    if rates is None:
        return None
    cost = sum((count * rates[side] for side, count in sides.items()), Decimal(0))
    return (cost + (count - sum(sides.values())) * max(rates.values())) / MILLION


def bound_class(
    name: str, quantity: int, price: CallRates, stated_tier: int | None, tier_tokens: int, calls: int
) -> Decimal | None:
    """Return the most that a class without a rate may cost: tokens by their side, another quantity by its own rates."""
    if name not in TOKEN_CLASSES:
        return _bound_quantity(name, quantity, price, stated_tier, tier_tokens, calls)
    rates = find_greatest_rates(price, stated_tier, tier_tokens)
    return None if rates is None else quantity * rates["input" if name in INPUT_CLASSES else "output"] / MILLION


def bound_quantities(data: Mapping[str, Any], price: CallRates) -> list[Decimal | None]:
    """Return the most that each quantity beside the tokens may cost."""
    calls = data.get("calls") or 1
    used = {name: quantity for name, quantity in data.get("quantities", {}).items() if quantity > 0}
    if any("requests" in rates for rates in price.bounding) and "requests" not in used:
        used["requests"] = calls
    return [_bound_quantity(name, quantity, price, None, MAX_COUNT + 1, calls) for name, quantity in used.items()]


def _bound_quantity(
    name: str, quantity: int, price: CallRates, stated_tier: int | None, tier_tokens: int, calls: int
) -> Decimal | None:
    costs = [quantity * rate / THOUSAND for rate in _list_rates(price, name, stated_tier, tier_tokens)]
    hourly = [rates[name] for rates in price.bounding if name in rates]
    costs += [cost_of_seconds(rate, quantity, calls) for rate in hourly if isinstance(rate, Hourly)]
    return max(costs, default=None)


def find_greatest_rates(price: CallRates, stated_tier: int | None, tokens: int) -> dict[str, Decimal] | None:
    """Return the greatest rate of each side that a call with so many tokens can reach."""
    rates: dict[str, list[Decimal]] = {side: [] for side in SIDES}
    for name in TOKEN_CLASSES:
        rates["input" if name in INPUT_CLASSES else "output"] += _list_rates(price, name, stated_tier, tokens)
    if not any(rates.values()):
        return None
    return {side: max(rates[side] or [rate for others in rates.values() for rate in others]) for side in SIDES}


def _list_rates(price: CallRates, name: str, stated_tier: int | None, tokens: int) -> list[Decimal]:
    """List what a class may cost a unit, of the rates that bound a call. A rate by the hour is no rate of a unit."""
    figures: list[Decimal] = []
    for rate in (rates[name] for rates in price.bounding if name in rates):
        if isinstance(rate, Decimal):
            figures.append(rate)
        elif isinstance(rate, Tiered):
            # A tier that is stated is reached where it begins; without one a tier is reached above where it begins.
            figures.append(rate.base)
            figures += [
                tier.rate
                for tier in rate.tiers
                if (tokens > tier.above if stated_tier is None else stated_tier > 0 and stated_tier >= tier.above)
            ]
    return figures


def _read_usage_block(data: Mapping[str, Any]) -> dict[str, Any]:
    block = data.get("provider_usage")
    return block if isinstance(block, dict) else {}


def _count_block(block: dict[str, Any]) -> Tokens:
    counts = list(_list_counts(block))
    totals = [count for side, count, _ in counts if side == "total"]
    sides: dict[str, int] = {}
    for side in (*SIDES, "either"):
        top = [count for name, count, is_nested in counts if name == side and not is_nested]
        nested = [count for name, count, is_nested in counts if name == side and is_nested]
        parts = top + [count for count in nested if not totals or count > sum(top)]
        if parts:
            sides[side] = sum(parts)
    has_total = bool(totals) or "either" in sides
    least_total = max(max(totals, default=0), sum(sides.values())) if has_total else None
    sides.pop("either", None)
    return Tokens(sides, least_total)


def _list_counts(block: dict[str, Any]) -> Iterator[tuple[str, int, bool]]:
    """Yield the side of each count of tokens, the count, and whether it stands in a group."""
    for key, value in block.items():
        items = [(key, value, False)]
        if isinstance(value, dict):
            items = [(f"{key}.{detail}", number, True) for detail, number in value.items()]
        for path, number, is_nested in items:
            name = path.lower()
            if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= MAX_COUNT:
                continue
            if name.endswith(OTHER_ENDINGS) or not any(word in name for word in TOKEN_WORDS):
                continue
            yield _name_side(name), number, is_nested


def _name_side(name: str) -> str:
    for side, words in (("output", OUTPUT_WORDS), ("input", INPUT_WORDS), ("total", ("total",))):
        if any(word in name for word in words):
            return side
    return "either"
