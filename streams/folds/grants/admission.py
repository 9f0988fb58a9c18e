"""Admission: whether a call may be made, by whose right, and the reservation of the most that it may cost.

Of the scopes of a call each that holds any grant must give one that allows it; a scope without grants asks for none.
Within a scope the grant that is named counts, else the first, in the order in which they were given, that allows. All
of them are charged, once, and all above them. A call is allowed where what is used, reserved and leased of each limit
on the way leaves room for it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec
from msgspec.structs import replace

from streams.folds.grants.limits import MONEY, Amounts, Limit, is_measured, measure
from streams.folds.grants.meters import NAME, MeterKey, commit, find_refill, read_meter
from streams.folds.grants.tree import Grant, find_outside, list_holdings, list_limits, load_path
from streams.folds.state import Key, State
from tallystick.rights.sets import Call

RESERVATION, LEASE = "reservation", "lease"
LATE_SETTLEMENT_US = 86_400_000_000
"""The time for which an expired reservation still says what a late call is charged to."""
MODELS = "models"
Answer = Literal["allow", "downgrade", "throttle", "deny"]
Price = Callable[[str | None], Amounts]
"""The most that the call of an ask may cost with a model."""


class Charge(NamedTuple):
    """An amount of a limit."""

    grant: str
    limit_key: str
    amount: int


class Reservation(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The greatest cost of an admitted call. An expired one holds nothing, and only says what a late call is charged
    to."""

    grants: tuple[str, ...]  # all on the way
    charges: tuple[Charge, ...]
    admitted_us: int
    expires_us: int
    is_expired: bool = False


class Ask(NamedTuple):
    """A call that asks to be admitted. ``call`` has its values in sets of inferences, ``scopes`` its principals."""

    organization: str
    admission: str
    scopes: Mapping[str, str]
    call: Call
    expires_us: int
    grant: str | None = None


class Refusal(NamedTuple):
    """Why a grant refuses a call. ``needed_amount`` is the most that the call may take of the limit, ``refill_us`` when
    time alone makes room. ``is_retryable`` says whether the same call may be allowed without anybody's decision."""

    grant: str
    reason: str
    answer: Answer = "deny"
    limit_key: str = ""
    left: int = 0
    refill_us: int | None = None
    is_retryable: bool = False
    downgrade_to: str | None = None
    granted_by: str | None = None
    detail: str = ""
    needed_amount: int | None = None


class Decision(NamedTuple):
    """The answer to an ask. ``grants`` is the grant of each scope; ``warnings`` are limits that only warn and have no
    room."""

    answer: Answer
    model: str | None
    grants: tuple[str, ...] = ()
    charges: tuple[Charge, ...] = ()
    expires_us: int = 0
    warnings: tuple[tuple[str, str], ...] = ()
    refusal: Refusal | None = None


class Choice(NamedTuple):
    """The grants by whose right a call may be made, with what it is charged to; or why it may not."""

    grants: tuple[str, ...] = ()  # one a scope
    path: tuple[str, ...] = ()  # these and all above them
    charges: tuple[Charge, ...] = ()
    warnings: tuple[tuple[str, str], ...] = ()
    refusals: tuple[Refusal, ...] = ()


def decide(state: State, ask: Ask, price: Price, now_us: int) -> Decision:
    """Answer an ask, and reserve what it may cost where it is allowed."""
    if state.get(_reservation_key(ask)) is not None or state.get((NAME, LEASE, ask.organization, ask.admission)):
        return Decision("deny", None, refusal=Refusal("", "duplicate"))
    model = ask.call.get(MODELS)
    choice = choose_grants(state, ask, ask.call, price(model), now_us)
    if not choice.refusals:
        return _reserve(state, ask, "allow", model, choice, now_us)
    refusal = max(choice.refusals, key=_rank_refusal)
    if refusal.answer == "downgrade":
        for cheaper in dict.fromkeys(refusal.downgrade_to for refusal in choice.refusals):
            call = {**ask.call, MODELS: cheaper}
            downgraded = choose_grants(state, ask, call, price(cheaper), now_us)
            if not downgraded.refusals:
                return _reserve(state, ask, "downgrade", cheaper, downgraded, now_us)
        refusal = refusal._replace(answer="deny")
    return Decision(refusal.answer, model, refusal=refusal)


def choose_grants(state: State, ask: Ask, call: Call, amounts: Amounts, now_us: int) -> Choice:
    """Choose the grant of each scope that allows a call of these amounts."""
    choices = [
        _choose_grant(state, ask, names, call, amounts, now_us)
        for _, names in list_holdings(state, ask.organization, ask.scopes)
    ]
    names = tuple(grant for choice in choices for grant in choice.grants)
    refusals = tuple(refusal for choice in choices for refusal in choice.refusals)
    if ask.grant is not None and not refusals and ask.grant not in names:
        refusals = (Refusal(ask.grant, "not held"),)
    charges = {(charge.grant, charge.limit_key): charge for choice in choices for charge in choice.charges}
    warnings = dict.fromkeys(warning for choice in choices for warning in choice.warnings)
    path = dict.fromkeys(grant for choice in choices for grant in choice.path)
    return Choice(names, tuple(path), tuple(charges.values()), tuple(warnings), refusals)


def list_candidates(names: Sequence[str], grant: str | None) -> Sequence[str]:
    """Return the grants of a scope that may allow a call: the one that it names, if the scope has it."""
    return (grant,) if grant is not None and grant in names else names


def release(state: State, organization: str, admission: str) -> bool:
    """Take back the reservation of a call that is not made. False where there is none."""
    key: Key = (NAME, RESERVATION, organization, admission)
    reservation = load_reservation(state, key)
    if reservation is None or reservation.is_expired:
        return False
    uncharge(state, organization, reservation.charges)
    state.delete(key)
    return True


def expire_reservation(state: State, key: Key) -> Reservation | None:
    """Take back a reservation that fell due, and return it; forget one that expired a day ago."""
    reservation = load_reservation(state, key)
    assert reservation is not None, "it fell due"
    if reservation.is_expired:
        state.delete(key)
        return None
    uncharge(state, str(key[2]), reservation.charges)
    expired = replace(reservation, is_expired=True)
    state.put(key, expired, reservation.expires_us + LATE_SETTLEMENT_US)
    return expired


def uncharge(state: State, organization: str, charges: Iterable[Charge]) -> None:
    for charge in charges:
        commit(state, MeterKey(organization, charge.grant, charge.limit_key), reserved=-charge.amount)


def load_reservation(state: State, key: Key) -> Reservation | None:
    row = state.get(key)
    return row if row is None or type(row) is Reservation else msgspec.convert(row, Reservation)


def _reservation_key(ask: Ask) -> Key:
    return NAME, RESERVATION, ask.organization, ask.admission


def _reserve(state: State, ask: Ask, answer: Answer, model: str | None, choice: Choice, now_us: int) -> Decision:
    for charge in choice.charges:
        commit(state, MeterKey(ask.organization, charge.grant, charge.limit_key), reserved=charge.amount)
    state.put(_reservation_key(ask), Reservation(choice.path, choice.charges, now_us, ask.expires_us), ask.expires_us)
    return Decision(answer, model, choice.grants, choice.charges, ask.expires_us, choice.warnings)


def _choose_grant(state: State, ask: Ask, names: Sequence[str], call: Call, amounts: Amounts, now_us: int) -> Choice:
    """Choose the first grant of a scope that allows a call, or return the mildest of their refusals."""
    refusals = []
    for name in list_candidates(names, ask.grant):
        choice = _try_path(state, ask, load_path(state, ask.organization, name), call, amounts, now_us)
        if not choice.refusals:
            return choice
        refusals.append(max(choice.refusals, key=_rank_refusal))
    return Choice(refusals=(min(refusals, key=_rank_refusal),))


def _try_path(state: State, ask: Ask, path: Sequence[Grant], call: Call, amounts: Amounts, now_us: int) -> Choice:
    outside = find_outside(path, call, now_us)
    if outside is not None:
        grant = outside.grant
        return Choice(refusals=(Refusal(
            grant.name, outside.reason, granted_by=grant.granted_by, detail=outside.dimension,
        ),))  # fmt: skip
    charges, warnings, refusals = [], [], []
    for grant in path:
        limits = list_limits(grant, now_us)
        if (reason := _find_other_currency(limits, amounts)) is not None:
            refusals.append(Refusal(grant.name, "currency", granted_by=grant.granted_by, detail=reason))
        for limit in limits:
            if not is_measured(limit, amounts):
                continue
            amount = measure(limit, amounts)
            if amount is None and limit.is_enforced and limit.unknown_usage != "tokens_only":
                refusals.append(Refusal(grant.name, "unpriced", limit_key=limit.key, granted_by=grant.granted_by))
                continue
            charge = Charge(grant.name, limit.key, amount or 0)
            charges.append(charge)
            refusal = _find_refusal(state, ask.organization, grant, limit, charge.amount, now_us)
            if refusal is not None and limit.is_enforced:
                refusals.append(refusal)
            elif refusal is not None:
                warnings.append((grant.name, limit.key))
    names = tuple(grant.name for grant in path)
    return Choice(names[:1], names, tuple(charges), tuple(warnings), tuple(refusals))


def _find_other_currency(limits: Iterable[Limit], amounts: Amounts) -> str | None:
    """Return the currencies of a meter's limits where none of them is the call's."""
    for meter in MONEY:
        currencies = {limit.currency for limit in limits if limit.meter == meter and limit.is_enforced}
        if currencies and amounts.currency is not None and amounts.currency not in currencies:
            return " ".join(sorted(currencies))
    return None


def _find_refusal(
    state: State, organization: str, grant: Grant, limit: Limit, amount: int, now_us: int
) -> Refusal | None:
    """Return why a limit has no room for an amount; None where it has."""
    key = MeterKey(organization, grant.name, limit.key)
    meter = read_meter(state, key, limit, now_us)
    if limit.unknown_usage == "deny" and meter.unknown_calls:
        return Refusal(grant.name, "unknown usage", limit_key=limit.key, granted_by=grant.granted_by)
    left = limit.amount - meter.used - meter.committed
    if amount <= left:
        return None
    is_possible, is_contended = amount <= limit.amount, meter.used + amount <= limit.amount
    answer: Answer = limit.at_limit if limit.at_limit != "warn" else "deny"
    return Refusal(
        grant.name,
        "reserved" if is_contended else "limit",
        answer,
        limit.key,
        max(left, 0),
        find_refill(state, key, limit, amount, now_us) if is_possible and not is_contended else None,
        is_possible and (is_contended or answer == "throttle"),
        limit.downgrade_to,
        grant.granted_by,
        needed_amount=amount,
    )


def _rank_refusal(refusal: Refusal) -> tuple[int, bool, int]:
    """Rank a refusal: the stricter the greater."""
    strictness = ("allow", "downgrade", "throttle", "deny").index(refusal.answer)
    return strictness, not refusal.is_retryable, not refusal.limit_key
