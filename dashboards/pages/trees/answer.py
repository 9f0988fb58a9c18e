"""The answer of the page in words and figures (pure): cost, time, the most expensive step, and what was wasted."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

from dashboards.components.format import count, exact, money, percent, quantify
from dashboards.pages.trees.outline import Amounts, Step
from dashboards.periods import format_duration
from dashboards.sources.warehouse import Row

MAX_NAME = 40
MIN_SHARE_PERCENT = 10
"""A step with a smaller share is named only where no kind of steps cost more."""


def format_amounts(amounts: Amounts, absent_text: str = "unpriced") -> str:
    """Format amounts, each currency by itself: ``$1.20 + €0.30``."""
    return " + ".join(money(amount, currency) for currency, amount in sorted(amounts.items())) or absent_text


def format_exact(amounts: Amounts) -> str:
    """Format amounts with every digit."""
    return " + ".join(exact(amount, currency) for currency, amount in sorted(amounts.items()))


def format_cost(step: Step) -> str:
    """Format what a step cost itself: a dash where it used nothing, a plus where a part of it has no cost."""
    if step.pricing == "free":
        return "–"
    if step.pricing == "unknown" and not any(step.cost.values()):
        return "unknown"
    text = format_amounts(step.cost)
    return f"{text} +" if step.pricing in ("unknown", "partially_priced") and step.cost else text


def format_latency(latency_ms: int) -> str:
    """Format a duration: ``850 ms``, ``12.3 s``, ``2 h 24 min``."""
    if latency_ms < 1000:
        return f"{latency_ms} ms"
    if latency_ms < 60_000:
        return f"{(Decimal(latency_ms) / 1000).quantize(Decimal('0.1'))} s"
    return format_duration(timedelta(milliseconds=latency_ms))


def describe_cost(noun: str, cost: Amounts, calls: int, duration_ms: int) -> str:
    """Return the first sentence of the answer: what it cost, over how many calls, in which time."""
    time = f" in {format_latency(duration_ms)}" if duration_ms else ""
    if not cost:
        return f"The cost of this {noun} is not known: {quantify(calls, 'call')}{time}."
    return f"This {noun} cost {format_amounts(cost)} over {quantify(calls, 'call')}{time}."


def describe_top_step(steps: Sequence[Step], kinds: Sequence[Row], cost: Amounts, currency: str) -> str:
    """Return the second sentence: the step that cost the most by itself, or, where that is a small part and there are
    many of a kind, the kind that did. Empty where there is one step, or nothing costs anything."""
    total = cost.get(currency, Decimal(0))
    step = max(steps, key=lambda step: step.cost.get(currency, Decimal(0)), default=None)
    if step is None or len(steps) < 2 or total <= 0:
        return ""
    amount = step.cost.get(currency, Decimal(0))
    kind = max(
        (row for row in kinds if row["currency"] == currency and row["call_count"] > 1 and row["cost"]),
        key=lambda row: row["cost"],
        default=None,
    )
    if kind is not None and percent(amount, total) < MIN_SHARE_PERCENT and kind["cost"] > amount:
        title = kind["tool"] or kind["agent"] or kind["operation"] or kind["model"] or "calls"
        names = _name(title, " · ".join(name for name in (kind["agent"], kind["model"]) if name and name != title))
        share = percent(kind["cost"], total)
        return f"Most went to {count(int(kind['call_count']))} × {names}: {money(kind['cost'], currency)}, {share}%."
    text = f"The most expensive step is {_name(step.title, step.detail)}"
    return f"{text}: {money(amount, currency)}, {percent(amount, total)}%."


def _name(title: str, detail: str) -> str:
    return _cut(title) + (f" ({_cut(detail)})" if detail else "")


def _cut(name: str) -> str:
    return name if len(name) <= MAX_NAME else f"{name[:MAX_NAME]}…"
