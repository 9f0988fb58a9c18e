"""Append the decision that sets a budget's limit."""

from decimal import Decimal

from ingest.controls.append import append_control
from ledger.log import Log, Position
from ledger.settings import Settings
from tallystick.vocabulary.controls.budgets import BudgetAllocated


def set_budget(
    log: Log,
    settings: Settings,
    organization: str,
    dimension: str,
    scope: str,
    limit: Decimal,
    currency: str,
    window_s: int,
    reason: str | None = None,
    unknown_usage: str | None = None,
    actor: str | None = None,
) -> Position:
    """Allocate a limit of spend to a scope over a rolling window; the same scope and window again changes it.

    ``unknown_usage`` is the policy for calls whose spend is not known: ``BudgetAllocated`` says which there are.
    """
    body = {
        "dimension": dimension,
        "scope": scope,
        "limit": format(limit, "f"),
        "currency": currency,
        "window_s": window_s,
    }
    if unknown_usage is not None:
        body["unknown_usage"] = unknown_usage
    return append_control(
        log, settings, BudgetAllocated.control_type, body, organization=organization, reason=reason, actor=actor
    )
