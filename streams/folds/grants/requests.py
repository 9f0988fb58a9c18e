"""Answers to requests: admissions and leases (docs/rules.md, R19)."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import msgspec
from msgspec.structs import replace

from ledger.money import pico, text
from streams.folds import rating
from streams.folds.call import Call, convert_call
from streams.folds.emit import Emit
from streams.folds.entry import Documents
from streams.folds.event import Event
from streams.folds.grants.admission import (
    RESERVATION,
    Ask,
    Charge,
    Decision,
    Refusal,
    Remainder,
    decide,
    expire_reservation,
    release,
)
from streams.folds.grants.estimates import WHOLE_PPM
from streams.folds.grants.leases import LeaseAsk, expire_lease, grant_lease, return_lease
from streams.folds.grants.limits import MONEY, Amounts, write_amount
from streams.folds.grants.price_bounds import PriceBound, find_price_bound
from streams.folds.grants.reports import MeterChange, report_changes
from streams.folds.grants.uses import Settlement
from streams.folds.state import Key, State
from tallystick.rights.sets import FIELDS, InferenceSet
from tallystick.vocabulary.request import SCOPES

SECOND_US = 1_000_000
ADMISSION_TTL_S, LEASE_TTL_S, LEASE_SETTLE_S = 900, 60, 900
PRICED_FIELDS = ("provider", "region", "service_tier", "max_tokens", "calls")


def answer_admission(event: Event, state: State, documents: Documents, emit: Emit) -> None:
    """Answer ``admission``: reserve what the call may cost, at most or by an estimate, or release what an admission
    holds."""
    data = event.data
    if data.get("action") == "release":
        released = release(state, event.organization, data["admission"])
        _decide(event, "admission.released", emit, admission=data["admission"], released=released is not None)
        report_charges(event.organization, () if released is None else released.charges, state, emit)
        return
    ask = Ask(
        event.organization,
        event.id,
        read_scopes(data),
        {dimension: data.get(field) for dimension, field in FIELDS.items()},
        emit.now_us + (data.get("ttl_s") or ADMISSION_TTL_S) * SECOND_US,
        data.get("grant"),
        read_quantile_ppm(data),
    )
    decision = decide(state, ask, lambda model: bound_amounts(event, model, state, documents, emit), emit.now_us)
    body = {"admission": event.id, **_describe_decision(decision), "asked": _describe_ask(data)}
    _decide(event, "admission.decided", emit, decision.refusal and decision.refusal.reason, **body)
    report_charges(event.organization, decision.charges, state, emit)


def answer_lease(event: Event, state: State, documents: Documents, emit: Emit) -> None:
    """Answer ``lease``: lease a slice, and say what its holder needs to admit from it as an ask would be; or take back
    what a holder does not use."""
    data = event.data
    amounts = read_lease_amounts(data)
    if data.get("action") == "return":
        charges = return_lease(state, event.organization, data["lease"], amounts, emit.now_us, data.get("currency"))
        if isinstance(charges, str):
            _decide(event, "lease.returned", emit, charges, lease=data["lease"], returned=[], reason=charges)
            return
        returned = [_describe_charge(charge) for charge in charges]
        _decide(event, "lease.returned", emit, lease=data["lease"], returned=returned)
        report_charges(event.organization, charges, state, emit)
        return
    admits_until_us = emit.now_us + (data.get("ttl_s") or LEASE_TTL_S) * SECOND_US
    settle_s = data.get("settle_s")
    expires_us = admits_until_us + (LEASE_SETTLE_S if settle_s is None else settle_s) * SECOND_US
    ask = LeaseAsk(
        event.organization, event.id, data.get("holder") or "", read_scopes(data), amounts, data.get("currency") or "",
        admits_until_us, expires_us, data.get("grant"),
    )  # fmt: skip
    answer = grant_lease(state, ask, emit.now_us)
    if answer.refusal is not None:
        body = {"lease": event.id, **_describe_refusal(answer.refusal), "asked": _describe_ask(data)}
        _decide(event, "lease.refused", emit, answer.refusal.reason, **body)
        return
    prices = [
        _describe_price(fields, price)
        for fields in data.get("models") or ()
        if (price := find_price_bound(event, fields, emit.now_us, state, documents)) is not None
    ]
    _decide(
        event, "lease.granted", emit, lease=event.id, grants=answer.grants, admits_until_us=answer.admits_until_us,
        expires_us=expires_us, currency=data.get("currency"), allow=_describe_set(answer.allow),
        dimensions=answer.dimensions, prices=prices,
        amounts={meter: write_amount(meter, amount) for meter, amount in answer.amounts.items()},
        leased=[_describe_charge(charge) for charge in answer.charges],
        warnings=[{"grant": grant, "limit": limit_key} for grant, limit_key in answer.warnings],
    )  # fmt: skip
    report_charges(event.organization, answer.charges, state, emit)


def tell_settlement(event: Event, admission: str, settlement: Settlement, emit: Emit) -> None:
    """Tell what became of the admission or lease of a call."""
    _decide(
        event, "admission.settled", emit, admission=admission, way=settlement.way,
        reserved=[_describe_charge(charge) for charge in settlement.reserved],
        counted=[
            _describe_charge(Charge(counted.grant, counted.limit_key, counted.amount)) for counted in settlement.counted
        ],
        overshoot=[_describe_charge(charge) for charge in settlement.overshoot],
    )  # fmt: skip


def expire_due(key: Key, due_us: int, state: State, emit: Emit) -> None:
    """End a reservation or a lease that fell due, and tell what it held."""
    name, organization = str(key[3]), str(key[2])
    if key[1] == RESERVATION:
        expired: Any = expire_reservation(state, key)
        decision, content = "admission.expired", {"admission": name}
    else:
        expired = expire_lease(state, key)
        decision, content = "lease.expired", {"lease": name}
    if expired is not None:
        held = [_describe_charge(charge) for charge in expired.charges if charge.amount]
        body = msgspec.json.encode({**content, "held": held}).decode()
        emit.decision(organization, decision, due_us=due_us, body=body)
        report_charges(organization, expired.charges, state, emit)


def report_charges(organization: str, charges: Iterable[Charge], state: State, emit: Emit) -> None:
    """Report the limits of which something was reserved or leased, or given back."""
    report_changes(organization, [MeterChange(charge.grant, charge.limit_key) for charge in charges], state, emit)


def bound_amounts(event: Event, model: str | None, state: State, documents: Documents, emit: Emit) -> Amounts:
    """Return the most that the calls of an ask may cost together with a model, by the price books in force: all their
    tokens at the greatest rate of their side (R12)."""
    data = event.data
    reported = {"input": data.get("input_tokens"), "output": data.get("max_tokens")}
    fields: dict[str, Any] = {name: data[name] for name in PRICED_FIELDS if data.get(name) is not None}
    fields["reported_tokens"] = {side: tokens for side, tokens in reported.items() if tokens is not None}
    if model is not None:
        fields["model"] = model
    call: Call | None = convert_call(fields)
    assert call is not None, "a request fits the vocabulary"
    entry = rating.rate_quarantined(replace(event, time_us=emit.now_us, call=call), call, state, documents)
    assert entry.unpriced is not None, "its bound is all that is known of it"
    bound, calls = entry.unpriced.greatest_cost, data.get("calls") or 1
    tokens = None if None in reported.values() else sum(filter(None, reported.values()))
    return Amounts(0 if data.get("payer") == "customer" else bound, bound, entry.currency, tokens, calls)


def read_quantile_ppm(data: dict[str, Any]) -> int | None:
    """Return the quantile by which an ask wants its reservation estimated; None where it wants the whole."""
    return None if data.get("estimate") is None else int(Decimal(str(data["estimate"])) * WHOLE_PPM)


def read_scopes(data: dict[str, Any]) -> dict[str, str]:
    return {name: data[name] for name in SCOPES if data.get(name) is not None}


def read_lease_amounts(data: dict[str, Any]) -> dict[str, int]:
    money = {meter: pico(str(data[meter])) for meter in MONEY if data.get(meter) is not None}
    return money | {meter: data[meter] for meter in ("tokens", "calls") if data.get(meter) is not None}


def _describe_ask(data: dict[str, Any]) -> dict[str, Any]:
    """Describe what was asked, as the log has it: persons are pseudonyms, and keys fingerprints."""
    return {name: value for name, value in data.items() if value is not None}


def _describe_decision(decision: Decision) -> dict[str, Any]:
    content: dict[str, Any] = {"answer": decision.answer, "model": decision.model}
    if decision.refusal is not None:
        return content | _describe_refusal(decision.refusal)
    content |= {
        "grants": decision.grants,
        "expires_us": decision.expires_us,
        "reserved": _describe_reserved(decision.charges, decision.remainders),
        "warnings": [{"grant": grant, "limit": limit_key} for grant, limit_key in decision.warnings],
    }
    return content if decision.samples is None else content | {"samples": decision.samples}


def _describe_reserved(charges: Sequence[Charge], remainders: Sequence[Remainder]) -> list[dict[str, Any]]:
    return [
        _describe_charge(charge)
        | {"left": _write_amount(charge.limit_key, remainder.left), "refill_us": remainder.refill_us}
        for charge, remainder in zip(charges, remainders, strict=True)
    ]


def _describe_refusal(refusal: Refusal) -> dict[str, Any]:
    content: dict[str, Any] = {"reason": refusal.reason, "retryable": refusal.is_retryable}
    if refusal.grant:
        content |= {"grant": refusal.grant, "granted_by": refusal.granted_by}
    if refusal.limit_key:
        content |= {"limit": refusal.limit_key, "refill_us": refusal.refill_us}
        if refusal.left is not None:
            content["left"] = _write_amount(refusal.limit_key, refusal.left)
        if refusal.kept:
            content["kept"] = _write_amount(refusal.limit_key, refusal.kept)
    if refusal.needed_amount is not None:
        content["needed"] = _write_amount(refusal.limit_key, refusal.needed_amount)
    return content | ({"detail": refusal.detail} if refusal.detail else {})


def _describe_charge(charge: Charge) -> dict[str, Any]:
    amount = _write_amount(charge.limit_key, charge.amount)
    return {"grant": charge.grant, "limit": charge.limit_key, "amount": amount}


def _write_amount(limit_key: str, amount: int) -> str | int:
    return write_amount(limit_key.partition("/")[0], amount)


def _describe_price(fields: dict[str, Any], price: PriceBound) -> dict[str, Any]:
    tiers = [{"above": above, "input": text(input), "output": text(output)} for above, input, output in price.tiers]
    return fields | {"currency": price.currency, "per_call": text(price.per_call), "tiers": tiers}


def _describe_set(allow: InferenceSet) -> dict[str, list[str]]:
    return {dimension: sorted(values.names) for dimension, values in allow.values}


def _decide(event: Event, decision: str, emit: Emit, refusal_reason: str | None = None, **content: Any) -> None:
    """Add a decision; that of a refusal has its reason as a column too, so that tables find refusals."""
    emit.decision(
        event.organization, decision, event_source=event.source, event_id=event.id,
        body=msgspec.json.encode(content).decode(), **({"reason": refusal_reason} if refusal_reason else {}),
    )  # fmt: skip


ON_REQUEST = {"admission": answer_admission, "lease": answer_lease}
