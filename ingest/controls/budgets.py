"""Set and remove budgets: the records that decide of them, in the order of their organization."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple

from ingest.controls.append import append_control, build_decision
from ingest.intake.intake import decode
from ledger.errors import TallyError
from ledger.log import Log, Position, partition_of, records
from ledger.log.topics import EVENTS
from ledger.settings import Settings
from tallystick.vocabulary.controls.budgets import DEFAULT_UNKNOWN_USAGE, BudgetAllocated, BudgetRemoved

_TYPES = (BudgetAllocated.control_type, BudgetRemoved.control_type)


class Allocation(NamedTuple):
    """A budget: its scope as it stands on the log, its window, and its limit with the position that set it."""

    dimension: str
    scope: str
    window_s: int
    limit: str
    currency: str
    unknown_usage: str
    position: Position

    @property
    def name(self) -> str:
        return f"{self.dimension}={self.scope}, window {self.window_s} s, in {self.currency}"


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
    TallyError where the budget is in another currency.
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
    former = _find_allocation(log, settings, organization, BudgetAllocated.control_type, body)
    if former is not None and former.currency != currency:
        raise TallyError(
            f"the budget of {dimension} {scope} over {window_s} s is in {former.currency}, not in {currency}: remove "
            f"it first with `tally budget remove --scope {dimension}={scope} --window {window_s}s`"
        )
    return append_control(
        log, settings, BudgetAllocated.control_type, body, organization=organization, reason=reason, actor=actor
    )


def remove_budget(
    log: Log, settings: Settings, organization: str, dimension: str, scope: str, window_s: int,
    reason: str | None = None,
) -> Position:  # fmt: skip
    """Remove a budget. TallyError where there is none of this scope and window."""
    body = {"dimension": dimension, "scope": scope, "window_s": window_s}
    if _find_allocation(log, settings, organization, BudgetRemoved.control_type, body) is None:
        names = "; ".join(allocation.name for allocation in list_budgets(log, organization)[:20]) or "none"
        raise TallyError(
            f"organization {organization} has no budget of {dimension} {scope} over {window_s} s; it has: {names}"
        )
    return append_control(log, settings, BudgetRemoved.control_type, body, organization=organization, reason=reason)


def list_budgets(log: Log, organization: str) -> list[Allocation]:
    """List the budgets of an organization, in the order of their first allocation."""
    budgets: dict[tuple[str, str, int], Allocation] = {}
    for position, control, body in _find_decisions(log, organization):
        identity = (body["dimension"], body["scope"], body["window_s"])
        if control == BudgetRemoved.control_type:
            budgets.pop(identity, None)
        elif identity not in budgets or budgets[identity].currency == body["currency"]:
            policy = body.get("unknown_usage", DEFAULT_UNKNOWN_USAGE)
            budgets[identity] = Allocation(*identity, str(body["limit"]), body["currency"], policy, position)
    return list(budgets.values())


def _find_allocation(
    log: Log, settings: Settings, organization: str, control: str, body: dict[str, Any]
) -> Allocation | None:
    """Find the budget that a decision is about; the scope of a person or key stands on the log as its pseudonym."""
    stored = decode(build_decision(settings, control, body, organization))["data"]["body"]
    identity = (stored["dimension"], stored["scope"], stored["window_s"])
    return next((budget for budget in list_budgets(log, organization) if budget[:3] == identity), None)


def _find_decisions(log: Log, organization: str) -> Iterator[tuple[Position, str, dict[str, Any]]]:
    """Yield the decisions about an organization's budgets, each once: a repeat of an event changes nothing."""
    partition, identities = partition_of(organization), set[tuple[str, str]]()
    for record in records(log, EVENTS, partition):
        if record.organization != organization or b'"budget.' not in record.value:
            continue
        for event_index, line in enumerate(record.value.split(b"\n")):
            if b'"budget.' not in line:
                continue
            event = decode(line)
            data, identity = event.get("data", {}), (event["source"], event["id"])
            if isinstance(data, dict) and data.get("control") in _TYPES and identity not in identities:
                identities.add(identity)
                yield Position(partition, record.offset, event_index), data["control"], data["body"]
