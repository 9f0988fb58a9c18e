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
    actor: str | None = None,
) -> Position:
    """Allocate a limit of spend to a scope over a rolling window; the same scope and window again changes it."""
    body = {
        "dimension": dimension,
        "scope": scope,
        "limit": format(limit, "f"),
        "currency": currency,
        "window_s": window_s,
    }
    return append_control(
        log, settings, BudgetAllocated.control_type, body, organization=organization, reason=reason, actor=actor
    )
