"""Describe the explanation of an admission, for people and for programs."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ingest.api.admissions import explain_reason
from ledger.money import brief, text
from streams.folds.grants.limits import MONEY
from tally.product.grants.explanation import Explanation, LimitAtAsk, Step
from tally.product.grants.text import SECOND_US, describe_moment, list_limit_facts, write_moment
from tallystick.vocabulary.request import SCOPES

_ANSWERS = {
    "allow": "allowed", "downgrade": "allowed on {model}", "throttle": "throttled", "deny": "denied",
}  # fmt: skip
_ALLOWED = ("allow", "downgrade")


def describe_explanation(explanation: Explanation, names: Mapping[str, str]) -> Iterator[str]:
    """Yield what was asked, what was decided and why, whether a retry helps, who can raise it, and what came after."""
    decision = explanation.decision
    answer = _ANSWERS[decision["answer"]].format(**decision)
    moment = describe_moment(explanation.asked_us // SECOND_US * SECOND_US)
    yield f"Admission {explanation.admission}: {answer}, {moment} UTC"
    yield f"  asked       {_describe_ask(explanation.ask, names)}"
    if decision["answer"] in _ALLOWED:
        yield f"  by          {_describe_grants(decision['grants'])}"
        if decision["reserved"]:
            yield f"  reserved    {_describe_charges(decision['reserved'])}"
        if decision["warnings"]:
            limits = ", ".join(f"{warning['limit']} of {warning['grant']}" for warning in decision["warnings"])
            yield f"  warned      without room, and only warning: {limits}"
    else:
        yield f"  because     {explain_reason(decision)}"
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
        yield f"  after       nothing yet: reserved until {describe_moment(decision['expires_us'])}"


def list_explanation_facts(explanation: Explanation) -> dict[str, Any]:
    """Return an explanation for programs. Money is an exact text, and a person is the pseudonym of the log."""
    decision = dict(explanation.decision)
    for field, name in (("expires_us", "expires_at"), ("refill_us", "refills_at")):
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
        return f"settled {moment}{late}: counted {counted}{over}"
    if step.decision == "admission.expired":
        return f"expired {moment}: gave back {_describe_charges(body['held']) or 'nothing'}"
    if step.decision == "admission.released":
        return f"released {moment}" if body["released"] else f"a release at {moment} found nothing reserved"
    return f"{step.decision} {moment}"


def _describe_charges(charges: list[dict[str, Any]]) -> str:
    return ", ".join(
        f"{brief(charge['amount']) if isinstance(charge['amount'], str) else format(charge['amount'], ',')} of "
        f"{charge['limit']} ({charge['grant']})"
        for charge in charges
    )
