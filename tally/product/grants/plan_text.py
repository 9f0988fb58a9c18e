"""The records of a plan of grants, for people and for programs."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from streams.folds.grants.limits import Limit
from streams.folds.grants.records import read_change
from streams.folds.grants.tree import Grant
from tally.product.grants.answer import find_hint
from tally.product.grants.apply import GrantOutcome, RecordOutcome
from tally.product.grants.plan import PlannedRecord
from tally.product.grants.text import describe_allow, describe_at_limit, describe_moment, format_limit

SIGNS = {"create": "+", "narrow": "~", "extend": "~", "revoke": "-"}
_VERBS = {"create": "created", "narrow": "narrowed", "extend": "extended", "revoke": "revoked"}


def describe_records(outcome: GrantOutcome, *, is_applied: bool) -> Iterator[str]:
    """Yield each record in a line, and below it why it has no effect; then what the file leaves alone."""
    for part in outcome.records:
        yield f"{SIGNS[part.record.action]} grant {_describe_record(part.record, outcome.names, is_applied)}"
        if part.obstacle is not None:
            verb = "has" if is_applied else "would have"
            hint = find_hint(part.obstacle)
            yield f"    {verb} no effect: {part.obstacle}" + (f". Way out: {hint}" if hint else "")
    if outcome.foreign:
        yield (
            f"  not of this file, and left as they are: {', '.join(outcome.foreign)} (`tally export registry` writes "
            "them, `tally grant revoke` ends one)"
        )


def summarize_records(outcome: GrantOutcome, *, is_applied: bool) -> str:
    """Summarize the records in a sentence."""
    if not outcome.records:
        return "No changes: the grants are what the file declares."
    counts = count_records(outcome)
    if is_applied:
        words = [f"{counts[action]} {_VERBS[action]}" for action in SIGNS]
    else:
        words = [f"{counts[action]} to {action}" for action in SIGNS]
    ineffective = f"; {counts['ineffective']} without effect" if counts["ineffective"] else ""
    return f"Grants: {', '.join(words)}{ineffective}."


def count_records(outcome: GrantOutcome) -> dict[str, int]:
    """Count the records that have effect by what they do, and those without effect."""
    counts = Counter[str](part.record.action for part in outcome.records if part.obstacle is None)
    return {action: counts[action] for action in SIGNS} | {"ineffective": len(outcome.ineffective)}


def list_records(outcome: GrantOutcome) -> list[dict[str, Any]]:
    """List the records for programs. Persons are pseudonyms, as on the log."""
    return [_list_record(part) for part in outcome.records]


def _list_record(part: RecordOutcome) -> dict[str, Any]:
    record, obstacle = part.record, part.obstacle
    facts: dict[str, Any] = {
        "change": record.action, "grant": record.grant, "control": record.control_type, "body": record.body,
        "reason": record.reason, "effective": obstacle is None, "obstacle": obstacle, "below": list(record.below),
    }  # fmt: skip
    return facts | ({} if part.position is None else {"position": str(part.position)})


def _describe_record(record: PlannedRecord, names: Mapping[str, str], is_applied: bool) -> str:
    if record.action == "revoke":
        verb = "is revoked" if is_applied else "ends"
        below = f", and with it {', '.join(record.below)}" if record.below else ""
        return f"{record.grant} {verb} for ever{below}"
    change = read_change(record.body)
    words = [_describe_limit(limit, record.before) for limit in change.limits]
    if record.action == "create":
        scope = record.body["scope"]
        words.insert(0, f"{record.body['dimension']} {names.get(scope, scope)}")
        if record.body.get("parent") is not None:
            words.insert(1, f"within {record.body['parent']}")
    if change.allow:
        before = dict(record.before.allow) if record.before is not None else {}
        former = describe_allow(tuple((name, before[name]) for name, _ in change.allow if name in before))
        words.append(f"{former} -> {describe_allow(change.allow)}" if record.before else describe_allow(change.allow))
    if change.expires_us is not None:
        words.append(f"expires {describe_moment(change.expires_us)}")
    if change.is_delegable is not None:
        words.append("delegable" if change.is_delegable else "not delegable")
    verb = {"create": "", "narrow": " narrower", "extend": " wider"}[record.action]
    return f"{record.grant}{verb}: {', '.join(words)}"


def _describe_limit(limit: Limit, before: Grant | None) -> str:
    words = f"{format_limit(limit)} then {describe_at_limit(limit)}"
    former = (
        next((old_limit for old_limit in before.limits if old_limit.key == limit.key), None)
        if before is not None
        else None
    )
    return words if former is None else f"{format_limit(former)} then {describe_at_limit(former)} -> {words}"
