"""Summarize the history of an event: the entry in force, what it costs, and where its rate comes from (pure)."""

from collections.abc import Sequence
from typing import Any

from ledger import outcomes
from ledger.money import COSTS, brief, pico, text

Facts = dict[str, Any]
_KEPT_NAMES = (
    "outcome", "reason", "pricing", "unpriced_reason", "currency", "greatest_unpriced_cost", "saved_cost",
    "billing_month",
)  # fmt: skip


def summarize_history(steps: Sequence[Facts], state: Facts) -> Facts:
    """Summarize an event's lines in order: its state, and the entry in force with its costs, where there is one.

    ``step`` is the place of that entry among the lines, counted from 0. A cost is absent where no class has a price."""
    place = _find_in_force(steps)
    if place is None:
        return state
    step = steps[place]
    facts = state | {"step": place, "position": step["position"], "since": step["accepted_at"]}
    facts |= {name: step[name] for name in _KEPT_NAMES if name in step}
    event = step["event"]
    facts |= {name: event[name] for name in ("provider", "model", "model_resolved", "payer") if name in event}
    facts |= {name: cost for name in COSTS if (cost := sum_costs(step, name)) is not None}
    unpriced = [line["class"] for line in step["lines"] if line["contracted_cost"] is None]
    return facts | ({"unpriced_classes": unpriced} if unpriced else {}) | _name_sources(step)


def sum_costs(step: Facts, name: str) -> str | None:
    """Sum one cost of an entry over its classes; None where no class has it, or the entry has none."""
    costs = [pico(line[name]) for line in step.get("lines", ()) if line[name] is not None]
    return brief(text(sum(costs))) if costs else None


def _find_in_force(steps: Sequence[Facts]) -> int | None:
    """Return the place of the entry that no later line takes back. A restatement keeps the place of its original."""
    in_force: dict[str, int] = {}
    for place, step in enumerate(steps):
        key = step["names"] if step["outcome"] in (outcomes.REVERSAL, outcomes.RESTATEMENT) else step["position"]
        if step["outcome"] == outcomes.REVERSAL:
            in_force.pop(key, None)
        elif "pricing" in step:
            in_force[key] = place
    return max(in_force.values(), default=None)


def _name_sources(step: Facts) -> Facts:
    """Name the book and the contract of an entry, and how its book's price was found."""
    facts: Facts = {}
    if "price_id" in step:
        facts["price_id"] = step["price_id"]
        facts["book"] = step.get("price", {}).get("book")
        facts["book_origin"] = step.get("price", {}).get("origin")
    if step.get("contract"):
        facts["contract"] = step["contract"]["name"]
    elif "contract_id" in step:
        facts["contract"] = step["contract_id"].partition("@")[0]
    return {name: value for name, value in facts.items() if value is not None}
