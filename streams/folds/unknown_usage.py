"""Usage that is not known: why it is not, and the most that it may cost (docs/rules.md, R12).

Unknown is never free. A call is free where nothing was used for sure; where its usage is missing, or could not be read
as classes, its cost is absent, and what its figures allow bounds it.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from ledger.inference_fields import MAX_COUNT
from ledger.token_classes import INPUT_CLASSES, INPUT_WORDS, OTHER_ENDINGS, OUTPUT_CLASSES, OUTPUT_WORDS, TOKEN_WORDS
from streams.folds.call import Call, Counts
from streams.folds.prices.offer import Offer

USAGE_MISSING = "usage missing"
USAGE_UNKNOWN = "usage unknown"
TOTALS_WITHOUT_CLASSES = "totals without classes"


class TokenFigures(NamedTuple):
    """The greatest tokens that anything tells of a call: of input, of output, of both; None where nothing tells it."""

    input: int | None = None
    output: int | None = None
    total: int | None = None

    def sum_tokens(self) -> int:
        """Return the tokens that are told."""
        return max(self.total or 0, (self.input or 0) + (self.output or 0))


def is_cache_hit(call: Call) -> bool:
    """Tell whether a gateway's cache answered. A call that names the one it has its answer from says so too."""
    dimensions = call.dimensions
    return dimensions.response_cache == "hit" or (bool(dimensions.cached_from) and dimensions.response_cache != "miss")


def is_free_by_rule(call: Call) -> bool:
    """Tell whether no provider was called: a gateway's cache answered, or a call without usage was refused, or names a
    tool and no model."""
    dimensions = call.dimensions
    if is_cache_hit(call):
        return True
    is_tool_call = dimensions.tool is not None and dimensions.model is None and dimensions.model_resolved is None
    if dimensions.status != "refused" and not is_tool_call:
        return False
    if dimensions.usage_source == "unknown" or call.usage_block:
        return False
    return not any(counts and any(counts.values()) for counts in (call.tokens, call.quantities, call.reported))


def find_usage_gap(call: Call) -> str | None:
    """Return why the tokens of a call are not known; None where they are. Zero that is told is known."""
    source = call.dimensions.usage_source
    if source == "missing":
        return USAGE_MISSING
    if source == "unknown":
        return USAGE_UNKNOWN
    if call.tokens:
        return None
    reported = call.reported or {}
    if any(reported.values()):
        return TOTALS_WITHOUT_CLASSES
    if call.quantities or "total" in reported or len(reported) > 1:
        return None
    return USAGE_UNKNOWN if call.usage_block else USAGE_MISSING


def read_figures(call: Call) -> TokenFigures:
    """Return the greatest of a call's classes, the provider's totals and its usage block."""
    figures = read_totals(call)
    return figures if call.usage_block is None else _merge_figures(figures, read_block(call.usage_block))


def read_totals(call: Call) -> TokenFigures:
    """Return the greater of a call's classes and of the provider's totals."""
    reported, figures = call.reported, TokenFigures()
    if call.tokens:
        figures = TokenFigures(_sum_classes(call.tokens, INPUT_CLASSES), _sum_classes(call.tokens, OUTPUT_CLASSES))
    if not reported:
        return figures
    return _merge_figures(figures, TokenFigures(reported.get("input"), reported.get("output"), reported.get("total")))


def read_block(block: dict[str, Any]) -> TokenFigures:
    """Return the tokens that a usage block tells, whatever its provider.

    Numbers of a group inside it (details, mostly) lie within those beside the group: they are added only where the
    block has no total, or where one is greater than all of its side, and so lies beside it.
    """
    counts = [(_find_side(name), count, is_detail) for name, count, is_detail in _list_counts(block)]
    totals = [count for side, count, _ in counts if side == "total"]
    sums: dict[str, int | None] = {"input": None, "output": None, "either": None}
    for side in sums:
        plain = [count for count_side, count, is_detail in counts if count_side == side and not is_detail]
        details = [count for count_side, count, is_detail in counts if count_side == side and is_detail]
        beside = [count for count in details if not totals or count > sum(plain)]
        sums[side] = sum(plain + beside) if plain or beside else None
    input_tokens, output_tokens, either = sums.values()
    if not totals and either is None:
        return TokenFigures(input_tokens, output_tokens)
    count = (input_tokens or 0) + (output_tokens or 0) + (either or 0)
    return TokenFigures(input_tokens, output_tokens, max([*totals, count]))


def bound_tokens(figures: TokenFigures, call: Call, offer: Offer) -> int | None:
    """Return the most that tokens of these figures may cost, in pico; None where nothing bounds it.

    A side that is not told is bounded by the limit of output that was asked for, and by the context window.
    """
    calls = call.dimensions.calls or 1
    window = None if offer.context_window is None else offer.context_window * calls
    input_tokens, output_tokens, total = figures
    if total is None and output_tokens is None and call.dimensions.max_tokens is not None:
        output_tokens = call.dimensions.max_tokens * calls
    if total is None and window is not None:
        if input_tokens is None and output_tokens is None:
            total = window
        elif input_tokens is None:
            input_tokens = max(window - (output_tokens or 0), 0)
        elif output_tokens is None:
            output_tokens = max(window - input_tokens, 0)
    if total is None and (input_tokens is None or output_tokens is None):
        return None
    bounds = TokenFigures(input_tokens or 0, output_tokens or 0, total)
    count = bounds.sum_tokens()
    if not count:
        return 0
    stated = call.dimensions.context_tier
    prices = find_greatest_prices(offer, offer.tier(count) if stated is None else offer.stated_tier(stated))
    if prices is None:
        return None
    input_price, output_price = prices
    rest = count - (input_tokens or 0) - (output_tokens or 0)
    return (input_tokens or 0) * input_price + (output_tokens or 0) * output_price + rest * max(prices)


def bound_class(name: str, quantity: int, offer: Offer, tier: int, calls: int) -> int | None:
    """Return the most that a class without a rate may cost, in pico: tokens at the greatest rate of their side, another
    quantity at its own in any variant."""
    if name not in INPUT_CLASSES + OUTPUT_CLASSES:
        return offer.greatest_cost(name, quantity, tier, calls)
    prices = find_greatest_prices(offer, tier)
    return None if prices is None else quantity * prices[name in OUTPUT_CLASSES]


def bound_quantities(call: Call, offer: Offer) -> list[int | None]:
    """Return the most that each quantity of a call that is no tokens may cost, in pico; None where it has no rate."""
    calls = call.dimensions.calls or 1
    quantities = {name: quantity for name, quantity in (call.quantities or {}).items() if quantity}
    if "requests" in offer.bound_prices:
        quantities.setdefault("requests", calls)
    return [offer.greatest_cost(name, quantity, MAX_COUNT, calls) for name, quantity in quantities.items()]


def add_bounds(*bounds: int | None) -> int | None:
    """Add bounds up; None where one of them is absent."""
    known = [bound for bound in bounds if bound is not None]
    return sum(known) if len(known) == len(bounds) else None


@lru_cache(maxsize=10_000)
def find_greatest_prices(offer: Offer, tier: int) -> tuple[int, int] | None:
    """Return the greatest unit prices of input and of output, in pico. A side without a rate takes the other's; None
    where no token has a rate."""
    input_price = offer.greatest_unit_price(INPUT_CLASSES, tier)
    output_price = offer.greatest_unit_price(OUTPUT_CLASSES, tier)
    if input_price is None and output_price is None:
        return None
    return (
        output_price if input_price is None else input_price,
        input_price if output_price is None else output_price,
    )  # type: ignore[return-value]  # one of them is given


def _list_counts(block: dict[str, Any]) -> Iterator[tuple[str, int, bool]]:
    """Yield the counts of tokens of a usage block, each with its name, behind that of its group, and if it has one."""
    for name, value in block.items():
        is_group = isinstance(value, dict)
        for path, count in (
            [(f"{name}.{detail}", count) for detail, count in value.items()] if is_group else [(name, value)]
        ):
            if type(count) is int and 0 <= count <= MAX_COUNT and _is_token_count(path.lower()):
                yield path.lower(), count, is_group


def _is_token_count(name: str) -> bool:
    return any(word in name for word in TOKEN_WORDS) and not name.endswith(OTHER_ENDINGS)


def _find_side(name: str) -> str:
    if any(word in name for word in OUTPUT_WORDS):
        return "output"
    if any(word in name for word in INPUT_WORDS):
        return "input"
    return "total" if "total" in name else "either"


def _merge_figures(first: TokenFigures, second: TokenFigures) -> TokenFigures:
    """Return the greater of each figure; one that is absent is less than any."""
    pairs = [[count for count in pair if count is not None] for pair in zip(first, second, strict=True)]
    return TokenFigures(*(max(pair, default=None) for pair in pairs))


def _sum_classes(tokens: Counts, classes: tuple[str, ...]) -> int:
    return sum(tokens[name] for name in tokens if name in classes)
