"""Usage whose cost is not known, in words: how many calls, how many tokens, and the most that it may cost (pure)."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from dashboards.components.format import exact, money, quantify
from dashboards.sources.usage import Unknown

REASONS = {
    "usage missing": "the source says nothing of the usage",
    "usage unknown": "the source's usage could not be read as classes of tokens",
    "totals without classes": "the source gives totals, and not the classes that have a price",
    "no rate for a class": "the price has no rate for a class",
    "no price at that time": "no price of this model holds at the time of the call",
    "no price of the model": "no price book has this model of its provider",
    "no price of the fine-tuned model": "no price book has the rates of this fine-tuned model",
    "no price of the provider": "no price book knows its provider, or the model by name",
    "no price book": "no price book was adopted before it",
    "no model": "the call names no model",
}
"""The reasons of the ledger, as sentences say them."""


def describe_calls(unknown: Unknown) -> str:
    """Describe the calls: ``12 calls without usage, 1 call in quarantine``."""
    return ", ".join(_list_counts(unknown))


def describe_bound(unknown: Unknown, currency: str, *, is_exact: bool = False) -> str:
    """Describe the most that the calls may cost: ``at most $3.10``, and how many of them have no bound."""
    return describe_bounds(unknown, [(currency, unknown.greatest)], is_exact=is_exact)


def describe_bounds(unknown: Unknown, amounts: Sequence[tuple[str, Decimal]], *, is_exact: bool = False) -> str:
    """Describe the same of calls in several currencies, which are never added up: ``at most $3.10 and €2.00``."""
    format_amount = exact if is_exact else money
    if unknown.unbounded_calls >= unknown.calls and unknown.unbounded_calls:
        return "no upper bound"
    text = f"at most {' and '.join(format_amount(amount, currency) for currency, amount in amounts)}"
    if not unknown.unbounded_calls:
        return text
    return f"{text}, and {quantify(unknown.unbounded_calls, 'call')} without an upper bound"


def describe_call(call: dict[str, Any]) -> tuple[str, str] | None:
    """Describe what is not known of one call, and the most that it may cost; None where all is known."""
    pricing, currency = call["pricing"], call["currency"] or ""
    reason = REASONS.get(call["unpriced_reason"], call["unpriced_reason"])
    states = {
        "unknown": "The usage of this call is not known, so its cost is not in any total",
        "unpriced": "This call has no price, so its cost is not in any total",
        "partially_priced": "Part of this call has no price, and is not in any total",
    }
    if pricing not in states:
        return None
    return f"{states[pricing]}: {reason}.", describe_greatest(call["greatest_unpriced_cost"], currency)


def describe_greatest(greatest: Decimal | None, currency: str) -> str:
    """Describe the most that one call may cost beside what is known of it."""
    if greatest is None:
        return "no upper bound: no price, no context window, or a class that is no tokens"
    return f"at most {exact(greatest, currency)} at list price"


def _list_counts(unknown: Unknown) -> Iterator[str]:
    for number, state in (
        (unknown.unknown_calls, "without usage"),
        (unknown.unpriced_calls, "without a price"),
        (unknown.quarantined_calls, "in quarantine"),
    ):
        if number:
            yield f"{quantify(number, 'call')} {state}"
