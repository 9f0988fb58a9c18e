"""Describe the explanation of an admission, for people and for programs."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ingest.api import admissions, leases
from ingest.api.admissions import explain_reason
from ledger.money import brief, text
from streams.folds.grants.limits import MONEY
from tally.product.grants.asked_leases import LimitAtAsk
from tally.product.grants.explanation import CHANGED, LEASE_SETTLED, Explanation, Step
from tally.product.grants.text import SECOND_US, describe_moment, list_limit_facts, write_moment
from tallystick.vocabulary.request import SCOPES

_ANSWERS = {
    "allow": "allowed", "downgrade": "allowed on {model}", "throttle": "throttled", "deny": "denied",
}  # fmt: skip
_ALLOWED = ("allow", "downgrade")
_ZERO = "0.000000000000"


def describe_explanation(explanation: Explanation, names: Mapping[str, str]) -> Iterator[str]:
    """Yield what was asked, what was decided and why, whether a retry helps, who can raise it, and what came after."""
    decision = explanation.decision
    answer = _ANSWERS[decision["answer"]].format(**decision)
    moment = describe_moment(explanation.asked_us // SECOND_US * SECOND_US)
    if explanation.is_lease:
        answer = "given" if decision["answer"] == "allow" else "refused"
    yield f"{_name_ask(explanation)}: {answer}, {moment} UTC"
    describe_ask = _describe_lease if explanation.is_lease else _describe_ask
    yield f"  asked       {describe_ask(explanation.ask, names)}"
    if decision["answer"] in _ALLOWED:
        yield f"  by          {_describe_grants(decision['grants'])}"
        if explanation.is_lease:
            yield f"  leased      {_describe_charges(decision['leased']) or 'nothing that a limit counts'}"
            yield f"  admits      until {describe_moment(decision['admits_until_us'])}"
        elif decision["reserved"]:
            yield f"  reserved    {_describe_charges(decision['reserved'])}"
        if decision["warnings"]:
            limits = ", ".join(f"{warning['limit']} of {warning['grant']}" for warning in decision["warnings"])
            yield f"  warned      without room, and only warning: {limits}"
    else:
        reasons = leases.REASONS if explanation.is_lease else admissions.REASONS
        yield f"  because     {explain_reason(decision, reasons)}"
        yield f"  retry       {_describe_retry(decision)}"
        if decision.get("granted_by"):
            yield f"  granted by  {names.get(decision['granted_by'], decision['granted_by'])}, who can extend it"
    if decision["answer"] != "allow":
        for command in explanation.way_out.commands:
            yield f"  raise it    {command}"
        for note in explanation.way_out.notes:
            yield f"  note        {note}"
    yield from (f"  after       {_describe_step(step)}" for step in explanation.steps)
    if decision["answer"] in _ALLOWED and not explanation.steps:
        held = "leased" if explanation.is_lease else "reserved"
        yield f"  after       nothing yet: {held} until {describe_moment(decision['expires_us'])}"


def list_explanation_facts(explanation: Explanation) -> dict[str, Any]:
    """Return an explanation for programs. Money is an exact text, and a person is the pseudonym of the log."""
    decision = dict(explanation.decision)
    for field, name in (
        ("expires_us", "expires_at"), ("refill_us", "refills_at"), ("admits_until_us", "admits_until"),
    ):  # fmt: skip
        if field in decision:
            decision[name] = write_moment(decision.pop(field))
    return {
        "position": str(explanation.position), "asked_at": write_moment(explanation.asked_us), "ask": explanation.ask,
        **decision, "limits": [_list_limit(limit) for limit in explanation.limits],
        "commands": list(explanation.way_out.commands), "notes": list(explanation.way_out.notes),
        "after": [
            {"decision": step.decision, "at": write_moment(step.time_us), **step.body} for step in explanation.steps
        ],
        "as_of": write_moment(explanation.end_us),
    }  # fmt: skip


def format_asked(limit: LimitAtAsk) -> str:
    """Write what was asked of a limit."""
    if limit.amount is None:
        return ""
    return brief(text(limit.amount)) if limit.usage.limit.meter in MONEY else f"{limit.amount:,}"


def _list_limit(limit: LimitAtAsk) -> dict[str, Any]:
    amount = limit.amount
    if amount is not None and limit.usage.limit.meter in MONEY:
        return {"grant": limit.grant, **list_limit_facts(limit.usage), "asked": text(amount), "room": limit.has_room}
    return {"grant": limit.grant, **list_limit_facts(limit.usage), "asked": amount, "room": limit.has_room}


def _describe_ask(ask: Mapping[str, Any], names: Mapping[str, str]) -> str:
    calls, inputs, outputs = ask.get("calls") or 1, ask.get("input_tokens"), ask.get("max_tokens")
    words = [f"{calls:,} call{'s' if calls > 1 else ''} of {ask.get('model') or 'a model that it does not name'}"]
    words += [f"{inputs:,} input tokens"] if inputs is not None else []
    words += [f"at most {outputs:,} output tokens"] if outputs is not None else []
    described = {"calls", "model", "input_tokens", "max_tokens", "ttl_s", *SCOPES}
    words += [f"{field.replace('_', ' ')} {value}" for field, value in ask.items() if field not in described]
    words += [f"{field} {names.get(ask[field], ask[field])}" for field in SCOPES if ask.get(field) is not None]
    return ", ".join(words)


def _describe_grants(grants: Sequence[str]) -> str:
    if not grants:
        return "no grant: none of its scopes has one"
    return f"grant{'s' if len(grants) > 1 else ''} {', '.join(grants)}"


def _describe_retry(decision: Mapping[str, Any]) -> str:
    refill_us = decision.get("refill_us")
    if decision["retryable"] and refill_us is not None:
        return f"helps from {describe_moment(refill_us)} UTC on, when time has made room"
    if decision["retryable"]:
        return "may help: calls under way hold what is left, and give back what they do not use"
    if refill_us is not None:
        return f"does not help before {describe_moment(refill_us)} UTC, when time alone makes room for another ask"
    return "does not help: only a decision of a person allows this call"


def _describe_step(step: Step) -> str:
    moment, body = describe_moment(step.time_us // SECOND_US * SECOND_US), step.body
    if step.decision == "admission.settled":
        late = ", after its reservation had expired" if body["way"] == "late" else ""
        counted = _describe_charges(body["counted"]) or "nothing"
        over = f"; beyond its limits by {_describe_charges(body['overshoot'])}" if body["overshoot"] else ""
        unknown = f"; {_describe_unknown(body['unknown'])}" if "unknown" in body else ""
        return f"settled {moment}{late}: counted {counted}{over}{unknown}"
    if step.decision == LEASE_SETTLED:
        counted = _describe_charges(body["counted"]) or "nothing"
        over = f"; beyond their limits by {_describe_charges(body['overshoot'])}" if body["overshoot"] else ""
        unknown = f"; the cost of {body['unknown']:,} was not known" if body["unknown"] else ""
        calls = f"{body['calls']:,} call{'s' if body['calls'] > 1 else ''}"
        return f"{calls} settled, the last {moment}: counted {counted}{over}{unknown}"
    if step.decision == CHANGED:
        change = f"{_describe_entry(body['before'])} became {_describe_entry(body['after'])}"
        return f"corrected {moment} ({body['reason']}): {change}"
    if step.decision == "lease.returned":
        back = _describe_charges([charge for charge in body["returned"] if charge["amount"] not in (0, _ZERO)])
        return f"returned {moment}: {back or 'nothing'}"
    if step.decision in ("admission.expired", "lease.expired"):
        return f"expired {moment}: gave back {_describe_charges(body['held']) or 'nothing'}"
    if step.decision == "admission.released":
        return f"released {moment}" if body["released"] else f"a release at {moment} found nothing reserved"
    return f"{step.decision} {moment}"


def _name_ask(explanation: Explanation) -> str:
    if not explanation.is_lease:
        return f"Admission {explanation.admission}"
    lease = explanation.decision["lease"]
    is_whole = explanation.admission == lease
    return f"Lease {lease}" if is_whole else f"Admission {explanation.admission}, from lease {lease}"


def _describe_lease(ask: Mapping[str, Any], names: Mapping[str, str]) -> str:
    words = [f"{field} {ask[field]}" for field in ("billed", "notional", "currency", "tokens", "calls") if field in ask]
    words += [f"{field} {names.get(ask[field], ask[field])}" for field in ("holder", *SCOPES) if ask.get(field)]
    return ", ".join(words)


def _describe_unknown(reason: str) -> str:
    return f"its cost was not known ({reason}), so limits counted its bound or what was reserved, as their policy says"


def _describe_entry(entry: Mapping[str, Any] | None) -> str:
    if entry is None:
        return "nothing"
    cost = f"{brief(entry['billed_cost'])} {entry['currency']}" if entry["currency"] else "no price"
    unknown = "" if entry["pricing"] in ("priced", "free") else " and what is not known"
    return f"{cost}{unknown}, {entry['tokens']:,} tokens"


def _describe_charges(charges: list[dict[str, Any]]) -> str:
    return ", ".join(
        f"{brief(charge['amount']) if isinstance(charge['amount'], str) else format(charge['amount'], ',')} of "
        f"{charge['limit']} ({charge['grant']})"
        for charge in charges
    )
