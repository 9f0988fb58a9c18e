"""Requests as events have them: what they ask for, and the decisions that answer them (docs/rules.md, R19)."""

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from audit.verify.pricing import GreatestPrices
from audit.verify.rights.admissions import Answer, Ask, Refusal, decide, release
from audit.verify.rights.calls import Settlement
from audit.verify.rights.decisions import Cause, Decision
from audit.verify.rights.estimates import WHOLE_PPM
from audit.verify.rights.leases import LeaseAsk, find_return_obstacle, give_lease, return_lease
from audit.verify.rights.limits import MONEY, Amounts, write_amount
from audit.verify.rights.organization_rights import RESERVATION, Charge, Expiry, OrganizationRights
from ledger.money import pico

SECOND_US = 1_000_000
ADMISSION_TTL_S, LEASE_TTL_S, LEASE_SETTLE_S = 900, 60, 900
SCOPES = ("team", "project", "feature", "environment", "user", "customer", "key", "agent", "session")
SETS = {
    "inference_classes": "inference_class", "models": "model", "providers": "provider", "regions": "region",
    "data_classes": "data_class", "purposes": "purpose", "environments": "environment", "operations": "operation",
}  # fmt: skip
"""The field of a call for each dimension of a set."""
MILLION = Decimal(1_000_000)
BoundPrices = Callable[[Mapping[str, Any]], GreatestPrices | None]
"""The greatest prices of calls with some fields now; None where they have none."""
BoundCost = Callable[[dict[str, Any]], tuple[int | None, str | None]]
"""The most that a call of these fields may cost now, in 10^-12, and its currency; None is not known."""


def answer_admission(
    rights: OrganizationRights, cause: Cause, data: Mapping[str, Any], bound_cost: BoundCost, now_us: int
) -> Iterator[Decision]:
    """Answer an ask, or release what an admission holds."""
    if data.get("action") == "release":
        is_released = release(rights, data["admission"])
        yield cause.decide("admission.released", admission=data["admission"], released=is_released)
        return
    expires_us = now_us + (data.get("ttl_s") or ADMISSION_TTL_S) * SECOND_US
    quantile_ppm = None if data.get("estimate") is None else int(Decimal(str(data["estimate"])) * WHOLE_PPM)
    ask = Ask(str(cause.id), read_scopes(data), read_call(data), expires_us, data.get("grant"), quantile_ppm)
    answer = decide(rights, ask, lambda model: _estimate_amounts(data, model, bound_cost), now_us)
    yield cause.decide(
        "admission.decided", admission=ask.name, asked=_describe_ask(data), **_describe_answer(answer, expires_us)
    )


def answer_lease(
    rights: OrganizationRights, cause: Cause, data: Mapping[str, Any], bound_prices: BoundPrices, now_us: int
) -> Iterator[Decision]:
    """Answer an ask for a slice, or take back what a holder does not use."""
    amounts = {meter: pico(str(data[meter])) for meter in MONEY if data.get(meter) is not None}
    amounts |= {meter: data[meter] for meter in ("tokens", "calls") if data.get(meter) is not None}
    if data.get("action") == "return":
        obstacle = find_return_obstacle(rights, data["lease"], data.get("currency"))
        if obstacle is not None:
            yield cause.decide("lease.returned", lease=data["lease"], returned=[], reason=obstacle)
            return
        returned = return_lease(rights, data["lease"], amounts)
        yield cause.decide("lease.returned", lease=data["lease"], returned=_describe_charges(returned))
        return
    admits_until_us = now_us + (data.get("ttl_s") or LEASE_TTL_S) * SECOND_US
    settle_s = LEASE_SETTLE_S if data.get("settle_s") is None else data["settle_s"]
    expires_us = admits_until_us + settle_s * SECOND_US
    name, currency = str(cause.id), data.get("currency")
    ask = LeaseAsk(name, read_scopes(data), amounts, currency or "", admits_until_us, expires_us, data.get("grant"))
    answer = give_lease(rights, ask, now_us)
    if isinstance(answer, Refusal):
        yield cause.decide("lease.refused", lease=name, asked=_describe_ask(data), **_describe_refusal(answer))
        return
    prices = [_describe_prices(fields, bound_prices(fields)) for fields in data.get("models") or ()]
    yield cause.decide(
        "lease.granted", lease=name, grants=answer.grants, admits_until_us=answer.admits_until_us,
        expires_us=expires_us, currency=currency,
        allow={dimension: sorted(names) for dimension, names in answer.allow.items()}, dimensions=answer.dimensions,
        amounts={meter: write_amount(meter, amount) for meter, amount in answer.amounts.items()},
        leased=_describe_charges(answer.charges), prices=[price for price in prices if price is not None],
        warnings=_describe_warnings(answer.warnings),
    )  # fmt: skip


def describe_settlement(cause: Cause, admission: str, settlement: Settlement) -> Decision:
    countings = [Charge(*counting[:3]) for counting in settlement.countings]
    return cause.decide(
        "admission.settled", admission=admission, way=settlement.way,
        reserved=_describe_charges(settlement.reserved), counted=_describe_charges(countings),
        overshoot=_describe_charges(settlement.overshoot),
    )  # fmt: skip


def describe_expiry(cause: Cause, expiry: Expiry) -> Decision:
    name, field = ("admission.expired", "admission") if expiry.kind == RESERVATION else ("lease.expired", "lease")
    identity = {field: expiry.name}
    return cause.decide(name, due_us=expiry.expires_us, held=_describe_charges(expiry.charges), **identity)


def read_scopes(data: Mapping[str, Any]) -> dict[str, str]:
    return {name: data[name] for name in SCOPES if data.get(name) is not None}


def read_call(data: Mapping[str, Any]) -> dict[str, str | None]:
    """Read what sets compare of a call."""
    return {dimension: data.get(field) for dimension, field in SETS.items()}


def _estimate_amounts(data: Mapping[str, Any], model: str | None, bound_cost: BoundCost) -> Amounts:
    """Return the most that the calls of an ask may cost with a model."""
    totals = {"input": data.get("input_tokens"), "output": data.get("max_tokens")}
    fields = {name: data.get(name) for name in ("provider", "region", "service_tier", "max_tokens", "calls")}
    fields["model"] = model
    call: dict[str, Any] = {name: value for name, value in fields.items() if value is not None}
    call["reported_tokens"] = {side: tokens for side, tokens in totals.items() if tokens is not None}
    cost, currency = bound_cost(call)
    tokens = None if None in totals.values() else sum(tokens for tokens in totals.values() if tokens is not None)
    return Amounts(0 if data.get("payer") == "customer" else cost, cost, currency, tokens, data.get("calls") or 1)


def _describe_ask(data: Mapping[str, Any]) -> dict[str, Any]:
    """Describe an ask as the log has it."""
    return {field: value for field, value in data.items() if value is not None}


def _describe_answer(answer: Answer, expires_us: int) -> dict[str, Any]:
    fields: dict[str, Any] = {"answer": answer.answer, "model": answer.model}
    if answer.refusal is not None:
        return fields | _describe_refusal(answer.refusal)
    choice = answer.choice
    assert choice is not None, "it is allowed"
    rests = [
        {"left": write_amount(charge.limit_key, rest.left_amount), "refill_us": rest.refill_us}
        for charge, rest in zip(choice.charges, choice.rests, strict=True)
    ]
    fields |= {
        "grants": choice.grants,
        "expires_us": expires_us,
        "reserved": [charge | rest for charge, rest in zip(_describe_charges(choice.charges), rests, strict=True)],
        "warnings": _describe_warnings(choice.warnings),
    }
    return fields if choice.samples is None else fields | {"samples": choice.samples}


def _describe_refusal(refusal: Refusal) -> dict[str, Any]:
    fields: dict[str, Any] = {"reason": refusal.reason, "retryable": refusal.is_retryable}
    if refusal.grant:
        fields |= {"grant": refusal.grant, "granted_by": refusal.granted_by}
    if refusal.limit is not None:
        fields |= {"limit": refusal.limit.key, "refill_us": refusal.refill_us}
        if refusal.left_amount is not None:
            fields["left"] = write_amount(refusal.limit.key, refusal.left_amount)
        if refusal.kept_amount:
            fields["kept"] = write_amount(refusal.limit.key, refusal.kept_amount)
        if refusal.needed_amount is not None:
            fields["needed"] = write_amount(refusal.limit.key, refusal.needed_amount)
    return fields


def _describe_warnings(warnings: list[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"grant": grant, "limit": limit_key} for grant, limit_key in warnings]


def _describe_prices(fields: Mapping[str, Any], prices: GreatestPrices | None) -> dict[str, Any] | None:
    """Describe the greatest prices of calls with some fields; None where they have none."""
    if prices is None:
        return None
    tiers = [
        {"above": tier.above} | {side: f"{rate / MILLION:.12f}" for side, rate in tier.rates.items()}
        for tier in prices.tiers
    ]
    return {**fields, "currency": prices.currency, "per_call": f"{prices.call_cost:.12f}", "tiers": tiers}


def _describe_charges(charges: list[Charge]) -> list[dict[str, Any]]:
    return [
        {"grant": charge.grant, "limit": charge.limit_key, "amount": write_amount(charge.limit_key, charge.amount)}
        for charge in charges
    ]
