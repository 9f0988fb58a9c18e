"""The fold of grants: records of people change the tree, calls are counted by it, and limits that are crossed are told
(docs/rules.md, R18)."""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from ledger.outcomes import RESTATEMENT
from streams.folds.currencies import find_uncounted
from streams.folds.emit import Emit
from streams.folds.entry import Documents, Entry, EntryChange
from streams.folds.event import Event
from streams.folds.fold import Fold
from streams.folds.grants import tree, tree_changes
from streams.folds.grants.admission import LEASE, RESERVATION
from streams.folds.grants.estimates import HISTORY, forget_history
from streams.folds.grants.leases import LEASED
from streams.folds.grants.limits import Amounts, Limit, write_amount
from streams.folds.grants.meters import METER, NAME, Crossing, MeterKey, cross_thresholds, rearm_thresholds
from streams.folds.grants.records import read_change, read_grant, read_time_us
from streams.folds.grants.reports import REPORT, MeterChange, report_changes, report_due, report_grant
from streams.folds.grants.requests import ON_REQUEST, expire_due, tell_settlement
from streams.folds.grants.uses import USE, Settlement, Use, UsedCall, amend, settle, take_back
from streams.folds.identity import MAX_AHEAD_US
from streams.folds.state import Key, State
from streams.folds.unknown_usage import is_free_by_rule
from streams.folds.unpriced_models import find_unpriced
from tallystick.rights.sets import FIELDS
from tallystick.vocabulary.controls.grants import (
    GrantCreated,
    GrantDelegated,
    GrantExtended,
    GrantNarrowed,
    GrantRevoked,
)
from tallystick.vocabulary.request import SCOPES

STARTING = (GrantCreated.control_type, GrantDelegated.control_type)
"""Types that may hold from a later moment on; the others hold from their place on the log on."""
FREE = Amounts(0, 0, None, 0, 0)
Apply = Callable[[State, str, dict[str, Any], int, int, str | None], str | None]
"""Apply the body of a record: organization, body, start, now, who granted. Return why it has no effect."""


def change_tree(event: Event, state: State, documents: Documents, emit: Emit) -> None:
    """Apply a record of a grant, and answer it with both of its times, or with why it has no effect."""
    control_type, body = event.data["control"], event.data["body"]
    effective_at = event.data.get("effective_at")
    effective_us = emit.now_us if effective_at is None else max(emit.now_us, read_time_us(effective_at))
    if control_type in STARTING or effective_us <= emit.now_us + MAX_AHEAD_US:
        apply = _APPLY[control_type]
        reason = apply(state, event.organization, body, effective_us, emit.now_us, event.data.get("actor"))
    else:
        reason = "it holds from its place on the log on: send it when it is to hold"
    if control_type not in STARTING:
        effective_us = emit.now_us
    facts = {"control_type": control_type, "event_source": event.source, "event_id": event.id}
    if reason is not None:
        emit.decision(event.organization, "control.ineffective", reason=reason, **facts)
        return
    warning = _find_warning(event.organization, body.get("limits") or (), state, documents)
    facts |= {} if warning is None else {"reason": warning}
    emit.decision(
        event.organization, "control.applied", effective_us=effective_us, known_us=emit.now_us,
        body=msgspec.json.encode(body | _read_origin(event)).decode(), **facts,
    )  # fmt: skip
    _tell_changed_limits(event, body["grant"], state, emit)
    report_grant(event.organization, body["grant"], state, emit)


def count_call(event: Event, entry: Entry, state: State, emit: Emit) -> None:
    """Count an inference by the grants of its scopes: a counted one, or a quarantined one with its bound."""
    if state.get((NAME, tree.DIMENSIONS, event.organization)):
        settlement = _settle(event, _read_call(event, entry, emit.order()), state, emit)
        _tell_crossings(event, settlement, state, emit)
        _report_changes(event.organization, None, settlement, state, emit)


def correct_call(change: EntryChange, state: State, emit: Emit) -> None:
    """Take a reversed entry out of the windows that hold it, and count the one in its place at the same time, by the
    same grants."""
    former, added, use = change.reversed, change.added, None
    if former is not None:
        use = take_back(state, former.event.organization, former.position, emit.now_us)
    if added is None or not state.get((NAME, tree.DIMENSIONS, added.event.organization)):
        if former is not None:
            _report_changes(former.event.organization, use, None, state, emit)
        return
    used_call = _read_call(added.event, added.entry, added.position)
    if use is not None:
        settlement = amend(state, use, used_call, emit.now_us)
    elif change.reason == RESTATEMENT:
        return  # no window has what it was
    else:
        settlement = _settle(added.event, used_call, state, emit)
    _tell_crossings(added.event, settlement, state, emit)
    _report_changes(added.event.organization, use, settlement, state, emit)


def end_row(key: Key, due_us: int, state: State, emit: Emit) -> None:
    """End what has expired, forget a use, or arm thresholds again where time alone has emptied a window."""
    if key[1] in (USE, LEASED):
        state.delete(key)
        return
    if key[1] == HISTORY:
        forget_history(state, key)
        return
    if key[1] in (RESERVATION, LEASE):
        expire_due(key, due_us, state, emit)
        return
    if key[1] == REPORT:
        report_due(key, state, emit)
        return
    assert key[1] == METER, f"{key[1]} never falls due"
    meter_key = MeterKey(*map(str, key[2:]))
    limit = tree.find_limit(state, meter_key, emit.now_us)
    if limit is None:  # of a narrowing that ended
        state.put(key, state.get(key))
        return
    rearmed = rearm_thresholds(state, meter_key, limit, emit.now_us)
    if rearmed:
        _tell_limit(meter_key, limit, "grant.rearmed", emit, due_us=due_us, thresholds=rearmed)
        change = MeterChange(meter_key.grant, meter_key.limit_key)
        report_changes(meter_key.organization, [change], state, emit, is_urgent=True)


def _create(state: State, organization: str, body: dict[str, Any], starts_us: int, now_us: int, actor: str | None
            ) -> str | None:  # fmt: skip
    return tree_changes.create_grant(state, organization, read_grant(body, starts_us, actor), now_us)


def _delegate(state: State, organization: str, body: dict[str, Any], starts_us: int, now_us: int, actor: str | None
              ) -> str | None:  # fmt: skip
    return tree_changes.create_grant(state, organization, read_grant(body, starts_us, actor), now_us, is_delegated=True)


def _narrow(state: State, organization: str, body: dict[str, Any], _: int, now_us: int, __: str | None) -> str | None:
    return tree_changes.narrow_grant(state, organization, body["grant"], read_change(body), now_us)


def _extend(state: State, organization: str, body: dict[str, Any], _: int, now_us: int, __: str | None) -> str | None:
    return tree_changes.extend_grant(state, organization, body["grant"], read_change(body), now_us)


def _revoke(state: State, organization: str, body: dict[str, Any], _: int, now_us: int, __: str | None) -> str | None:
    return tree_changes.revoke_grant(state, organization, body["grant"], now_us)


_APPLY: dict[str, Apply] = {
    GrantCreated.control_type: _create,
    GrantDelegated.control_type: _delegate,
    GrantNarrowed.control_type: _narrow,
    GrantExtended.control_type: _extend,
    GrantRevoked.control_type: _revoke,
}


def _settle(event: Event, used_call: UsedCall, state: State, emit: Emit) -> Settlement:
    """Count a call, and tell what became of the admission or lease that it names."""
    settlement = settle(state, used_call, emit.now_us)
    if used_call.admission is not None and settlement.way != "unasked":
        tell_settlement(event, used_call.admission, settlement, emit)
    return settlement


def _read_origin(event: Event) -> dict[str, str]:
    """Read who sent a record, and why, for tables."""
    return {name: event.data[name] for name in ("actor", "reason") if event.data.get(name) is not None}


def _read_call(event: Event, entry: Entry, position: tuple[int, int]) -> UsedCall:
    """Read what a grant asks of a call: its scopes, its place in sets, and its amounts."""
    dimensions: Any = entry.dimensions
    scopes = {name: value for name in SCOPES if (value := getattr(dimensions, name)) is not None}
    call = {name: getattr(dimensions, field) for name, field in FIELDS.items()}
    call["models"] = dimensions.model or dimensions.model_resolved
    amounts = read_amounts(event, entry)
    return UsedCall(
        event.organization, position, event.time_us, scopes, call, amounts, dimensions.grant, dimensions.admission
    )


def read_amounts(event: Event, entry: Entry) -> Amounts:
    """Return what a call is worth to limits."""
    call, unpriced = event.call, entry.unpriced
    assert call is not None, "an entry is of a call"
    if is_free_by_rule(call):
        return FREE
    counted_tokens = sum(call.tokens.values()) if call.tokens else 0
    tokens: int | None = counted_tokens
    if unpriced is not None:
        tokens = max(counted_tokens, unpriced.tokens) or None  # of a call without any usage they are not known
    bound = None if unpriced is None else unpriced.greatest_cost
    calls = call.dimensions.calls or 1
    return Amounts(
        entry.billed_cost, entry.list_cost, entry.currency, tokens, calls, bound, unpriced is not None,
        call.dimensions.payer == "customer",
    )  # fmt: skip


def _find_warning(
    organization: str, limits: Iterable[dict[str, Any]], state: State, documents: Documents
) -> str | None:
    """Return why limits of a record count nothing, or offer a model that cannot be given."""
    currencies, models = (
        list(dict.fromkeys(limit[field] for limit in limits if limit.get(field) is not None))
        for field in ("currency", "downgrade_to")
    )
    warnings = [
        find_uncounted(organization, currencies, state, documents) if currencies else None,
        find_unpriced(models, state, documents) if models else None,
    ]
    return "; ".join(filter(None, warnings)) or None


def _tell_changed_limits(event: Event, name: str, state: State, emit: Emit) -> None:
    """Tell the thresholds that a changed limit leaves behind."""
    grant = tree.load_grant(state, event.organization, name)
    assert grant is not None, "the record was applied"
    for limit in tree.list_limits(grant, emit.now_us):
        crossing = cross_thresholds(state, MeterKey(event.organization, name, limit.key), limit, emit.now_us)
        if crossing is not None:
            _tell_crossing(event, crossing, limit, emit)


def _report_changes(
    organization: str, use: Use | None, settlement: Settlement | None, state: State, emit: Emit
) -> None:
    """Report the limits of which a use was taken back, and those of which a call was counted or settled."""
    changes: list[MeterChange] = []
    if use is not None:
        changes += [MeterChange(part.grant, part.limit_key, part.bucket, use.counted_us) for part in use.amounts]
    if settlement is not None:
        changes += [
            MeterChange(part.grant, part.limit_key, part.bucket, settlement.counted_us) for part in settlement.counted
        ]
        changes += [MeterChange(charge.grant, charge.limit_key) for charge in settlement.reserved]
    is_urgent = settlement is not None and bool(settlement.crossings)
    report_changes(organization, changes, state, emit, is_urgent=is_urgent)


def _tell_crossings(event: Event, settlement: Settlement, state: State, emit: Emit) -> None:
    for crossing in settlement.crossings:
        limit = tree.find_limit(state, crossing.key, emit.now_us)
        assert limit is not None, "it was crossed"
        _tell_crossing(event, crossing, limit, emit)


def _tell_crossing(event: Event, crossing: Crossing, limit: Limit, emit: Emit) -> None:
    facts = {"event_source": event.source, "event_id": event.id}
    _tell_limit(
        crossing.key, limit, "grant.crossed", emit, facts, thresholds=crossing.thresholds,
        used=write_amount(limit.meter, crossing.used), past=crossing.is_past,
    )  # fmt: skip


def _tell_limit(
    key: MeterKey, limit: Limit, decision: str, emit: Emit, facts: dict[str, str] | None = None,
    due_us: int | None = None, thresholds: Iterable[int] = (), **body: Any,
) -> None:  # fmt: skip
    """Add a decision about a limit; what it says beside the columns of decisions is its body, as JSON."""
    content = {
        "grant": key.grant, "limit": key.limit_key, "amount": write_amount(limit.meter, limit.amount),
        "thresholds": list(thresholds),
    } | body  # fmt: skip
    due = {} if due_us is None else {"due_us": due_us}
    emit.decision(key.organization, decision, body=msgspec.json.encode(content).decode(), **(facts or {}), **due)


FOLD = Fold(
    NAME,
    on_entry=count_call,
    on_correction=correct_call,
    on_control=dict.fromkeys(_APPLY, change_tree),
    on_request=ON_REQUEST,
    on_due=end_row,
    on_quarantined=count_call,
)
