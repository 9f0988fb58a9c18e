"""Measures of the page Explore: sums of usage, and figures made of them. Amounts are Decimals (pure)."""

from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Literal, NamedTuple

from dashboards.components.format import count, exact, money, short

_context = Context(prec=60, rounding=ROUND_HALF_EVEN)
Amount = Decimal | int


class Sums(NamedTuple):
    """Usage of one period. ``billed`` is None where nothing of it has a price. ``list`` is list cost of what the
    platform pays, ``notional`` that of customers' own keys; ``priced_tokens`` are those that ``effective`` pays for,
    and ``priced_calls`` the calls whose cost is known; ``successes`` are outcomes."""

    billed: Decimal | None = None
    list: Decimal = Decimal(0)
    notional: Decimal = Decimal(0)
    effective: Decimal = Decimal(0)
    tokens: int = 0
    priced_tokens: int = 0
    calls: int = 0
    priced_calls: int = 0
    uncosted_calls: int = 0
    gateway_saved: Decimal = Decimal(0)
    cache_saved: Decimal = Decimal(0)
    successes: int = 0

    @property
    def is_used(self) -> bool:
        """Tell whether anything was used; by token class there are no calls."""
        return bool(self.calls or self.tokens or self.uncosted_calls)


class Measure(NamedTuple):
    """A figure of ``Sums``: ``sql`` gives it of the columns with a prefix, to sort by. ``question`` asks for it."""

    name: str
    kind: Literal["money", "count", "ratio"]
    sql: str
    question: str
    meaning: str

    @property
    def has_drivers(self) -> bool:
        """Tell whether its change has drivers of its own; of others those of billed cost are shown."""
        return self.name in ("billed", "list", "notional")

    def compute(self, sums: Sums) -> Amount | None:
        """Return the figure; None where it has no value."""
        match self.name:
            case "billed":
                return sums.billed
            case "cost per call":
                return _divide(sums.billed, sums.priced_calls, 1)
            case "cost per 1M tokens":
                return _divide(sums.effective, sums.priced_tokens, 1_000_000)
            case "cost per success":
                return _divide(sums.billed, sums.successes, 1)
            case "gateway savings":
                return sums.gateway_saved
            case "cache savings":
                return sums.cache_saved
        amount: Amount = getattr(sums, self.name)
        return amount

    def format(self, amount: Amount | None, currency: str, *, is_exact: bool = False) -> str:
        """Format a figure as a table has it, or with all its digits."""
        if amount is None:
            return "unpriced" if self.kind == "money" else "–"
        if isinstance(amount, int):
            return count(amount) if is_exact or amount < 0 else short(amount)
        return (exact if is_exact else money)(amount, currency)


def _divide(cost: Decimal | None, number: int, size: int) -> Decimal | None:
    if cost is None or number <= 0:
        return None
    return _context.divide(cost * size, Decimal(number)).quantize(Decimal(1).scaleb(-8), context=_context)


MEASURES = (
    Measure("billed", "money", "{p}_billed", "What did we spend", "cost that the provider charges us"),
    Measure("list", "money", "{p}_list", "What is our usage worth at list price",
            "cost before discounts, negotiated rates and commitments; without customers' own keys"),
    Measure("notional", "money", "{p}_notional", "What did calls on customers' own keys cost",
            "list cost of calls that customers' own keys paid for; billed cost has none of it"),
    Measure("tokens", "count", "{p}_tokens", "How many tokens were used", "of all classes"),
    Measure("calls", "count", "{p}_calls", "How many calls were made",
            "those that are counted, less those that were reversed"),
    Measure("cost per call", "ratio", "toFloat64({p}_billed) / nullIf({p}_priced_calls, 0)", "What did a call cost",
            "billed cost by calls whose cost is known; customers' own keys are left out"),
    Measure("cost per 1M tokens", "ratio", "toFloat64({p}_effective) * 1000000 / nullIf({p}_priced_tokens, 0)",
            "What did a million tokens cost",
            "effective cost by priced tokens: what commitments cover counts at their own rates"),
    Measure("cost per success", "ratio", "toFloat64({p}_billed) / nullIf({p}_successes, 0)", "What did a success cost",
            "billed cost of all judged work, failures included, by its successes; work that several metrics judge "
            "counts once for each, so group or filter by metric"),
    Measure("cache savings", "money", "{p}_cache_saved", "What did the providers' prompt caches save",
            "cached input at the price of input, less its own cost and the premium for writing, at list price"),
    Measure("gateway savings", "money", "{p}_gateway_saved", "What did the gateway's cache save",
            "list cost of calls that a cache answered; in no other figure"),
)  # fmt: skip
_BY_NAME = {measure.name: measure for measure in MEASURES}


def find_measure(name: str) -> Measure:
    """Return the measure of a name in a link; the first one where there is none."""
    return _BY_NAME.get(name, MEASURES[0])
