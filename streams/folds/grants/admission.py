"""Admission: whether a call may be made, by whose right, and the reservation of the most that it may cost.

Of the scopes of a call each that holds any grant must give one that allows it; a scope without grants asks for none.
Within a scope the grant that is named counts, else the first, in the order in which they were given, that allows. All
of them are charged, once, and all above them. A call is allowed where what is used, reserved and leased of each limit
on the way, and what the limit keeps for others, leaves room for it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec
from msgspec.structs import replace

from streams.folds.grants.estimates import Basis, estimate_amounts
from streams.folds.grants.floors import Room, find_refill, has_floors, read_room
from streams.folds.grants.limits import MONEY, Amounts, Limit, is_measured, measure
from streams.folds.grants.meters import NAME, MeterKey, commit
from streams.folds.grants.tree import Grant, find_outside, list_holdings, list_limits, load_path
from streams.folds.state import Key, State
from tallystick.rights.sets import Call

RESERVATION, LEASE = "reservation", "lease"
LATE_SETTLEMENT_US = 86_400_000_000
"""The time for which an expired reservation still says what a late call is charged to."""
MODELS = "models"
MAX_NAMES = 3
"""Grants with a floor that a refusal names."""
Answer = Literal["allow", "downgrade", "throttle", "deny"]
Price = Callable[[str | None], Amounts]
"""The most that the call of an ask may cost with a model."""


class Charge(NamedTuple):
    """An amount of a limit."""

    grant: str
    limit_key: str
    amount: int


class Remainder(NamedTuple):
    """The room that a limit has after a charge, for calls by the same right, and when time alone brings it all back."""

    left: int
    refill_us: int | None


class Reservation(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The cost of an admitted call, the greatest or an estimate, which has a ``basis``. An expired one holds nothing,
    and only says what a late call is charged to."""

    grants: tuple[str, ...]  # all on the way
    charges: tuple[Charge, ...]
    admitted_us: int
    expires_us: int
    is_expired: bool = False
    basis: Basis | None = None


class Ask(NamedTuple):
    """A call that asks to be admitted. ``call`` has its values in sets of inferences, ``scopes`` its principals. With a
    quantile, in parts per million, its cost is estimated from the history of its grants."""

    organization: str
    admission: str
    scopes: Mapping[str, str]
    call: Call
    expires_us: int
    grant: str | None = None
    quantile_ppm: int | None = None


class Refusal(NamedTuple):
    """Why a grant refuses a call. ``needed_amount`` is the most that the call may take of the limit, ``kept`` what
    floors of others keep where they refuse it, and ``refill_us`` when time alone makes room. ``left`` is None where the
    room of the limit does not matter. ``is_retryable`` says whether the same call may be allowed without anybody's
    decision."""

    grant: str
    reason: str
    answer: Answer = "deny"
    limit_key: str = ""
    left: int | None = None
    refill_us: int | None = None
    is_retryable: bool = False
    downgrade_to: str | None = None
    granted_by: str | None = None
    detail: str = ""
    kept: int = 0
    needed_amount: int | None = None


class Decision(NamedTuple):
    """The answer to an ask. ``grants`` is the grant of each scope; ``warnings`` are limits that only warn and have no
    room. ``remainders`` are those of the charges. ``samples`` is the number of calls that an estimate is from."""

    answer: Answer
    model: str | None
    grants: tuple[str, ...] = ()
    charges: tuple[Charge, ...] = ()
    expires_us: int = 0
    warnings: tuple[tuple[str, str], ...] = ()
    refusal: Refusal | None = None
    remainders: tuple[Remainder, ...] = ()
    samples: int | None = None


class Choice(NamedTuple):
    """The grants by whose right a call may be made, with what it is charged to; or why it may not."""

    grants: tuple[str, ...] = ()  # one a scope
    path: tuple[str, ...] = ()  # these and all above them
    charges: tuple[Charge, ...] = ()
    remainders: tuple[Remainder, ...] = ()
    samples: int | None = None
    warnings: tuple[tuple[str, str], ...] = ()
    refusals: tuple[Refusal, ...] = ()


def decide(state: State, ask: Ask, price: Price, now_us: int) -> Decision:
    """Answer an ask, and reserve what it may cost where it is allowed."""
    if state.get(_reservation_key(ask)) is not None or state.get((NAME, LEASE, ask.organization, ask.admission)):
        return Decision("deny", None, refusal=Refusal("", "duplicate"))
    model = ask.call.get(MODELS)
    greatest = price(model)
    choice = choose_grants(state, ask, ask.call, greatest, now_us)
    if not choice.refusals:
        return _reserve(state, ask, "allow", model, greatest, choice, now_us)
    refusal = max(choice.refusals, key=_rank_refusal)
    if refusal.answer == "downgrade":
        for cheaper in dict.fromkeys(refusal.downgrade_to for refusal in choice.refusals):
            call, greatest = {**ask.call, MODELS: cheaper}, price(cheaper)
            downgraded = choose_grants(state, ask, call, greatest, now_us)
            if not downgraded.refusals:
                return _reserve(state, ask, "downgrade", cheaper, greatest, downgraded, now_us)
        refusal = refusal._replace(answer="deny")
    return Decision(refusal.answer, model, refusal=refusal)


def choose_grants(state: State, ask: Ask, call: Call, greatest: Amounts, now_us: int) -> Choice:
    """Choose the grant of each scope that allows a call of these amounts at most."""
    holdings = [list_candidates(names, ask.grant) for _, names in list_holdings(state, ask.organization, ask.scopes)]
    allowing: list[list[str]] = []
    if len(holdings) > 1 and has_floors(state, ask.organization):
        allowing = [_list_first_path(state, ask, names, call, now_us) for names in holdings]
    choices = []
    for number, names in enumerate(holdings):
        other_grants = [name for path in (*allowing[:number], *allowing[number + 1 :]) for name in path]
        choices.append(_choose_grant(state, ask, names, call, greatest, other_grants, now_us))
    names = tuple(grant for choice in choices for grant in choice.grants)
    refusals = tuple(refusal for choice in choices for refusal in choice.refusals)
    if ask.grant is not None and not refusals and ask.grant not in names:
        refusals = (Refusal(ask.grant, "not held"),)
    charges: dict[tuple[str, str], Charge] = {}
    remainders: dict[tuple[str, str], Remainder] = {}
    for choice in choices:
        for charge, remainder in zip(choice.charges, choice.remainders, strict=True):
            key = charge.grant, charge.limit_key
            charges[key] = max(charges.get(key, charge), charge)
            remainders[key] = min(remainders.get(key, remainder), remainder, key=lambda remainder: remainder.left)
    samples = min((choice.samples for choice in choices if choice.samples is not None), default=None)
    warnings = dict.fromkeys(warning for choice in choices for warning in choice.warnings)
    path = dict.fromkeys(grant for choice in choices for grant in choice.path)
    return Choice(
        names, tuple(path), tuple(charges.values()), tuple(remainders.values()), samples, tuple(warnings), refusals
    )


def list_candidates(names: Sequence[str], grant: str | None) -> Sequence[str]:
    """Return the grants of a scope that may allow a call: the one that it names, if the scope has it."""
    return (grant,) if grant is not None and grant in names else names


def release(state: State, organization: str, admission: str) -> Reservation | None:
    """Take back the reservation of a call that is not made, and return it. None where there is none."""
    key: Key = (NAME, RESERVATION, organization, admission)
    reservation = load_reservation(state, key)
    if reservation is None or reservation.is_expired:
        return None
    uncharge(state, organization, reservation.charges)
    state.delete(key)
    return reservation


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


def _reserve(
    state: State, ask: Ask, answer: Answer, model: str | None, greatest: Amounts, choice: Choice, now_us: int
) -> Decision:
    for charge in choice.charges:
        commit(state, MeterKey(ask.organization, charge.grant, charge.limit_key), reserved=charge.amount)
    basis = None
    if ask.quantile_ppm is not None and model is not None:
        amounts = greatest.billed, greatest.notional, greatest.tokens, greatest.currency
        basis = Basis(choice.grants, model, *amounts)
    reservation = Reservation(choice.path, choice.charges, now_us, ask.expires_us, basis=basis)
    state.put(_reservation_key(ask), reservation, ask.expires_us)
    return Decision(
        answer,
        model,
        choice.grants,
        choice.charges,
        ask.expires_us,
        choice.warnings,
        None,
        choice.remainders,
        choice.samples,
    )


def _list_first_path(state: State, ask: Ask, names: Sequence[str], call: Call, now_us: int) -> list[str]:
    """Return the path of the first grant of a scope that allows a call, whether it has room or not."""
    for name in names:
        path = load_path(state, ask.organization, name)
        if find_outside(path, call, now_us) is None:
            return [grant.name for grant in path]
    return []


def _choose_grant(
    state: State,
    ask: Ask,
    names: Sequence[str],
    call: Call,
    greatest: Amounts,
    other_grants: Sequence[str],
    now_us: int,
) -> Choice:
    """Choose the first grant of a scope that allows a call, or return the mildest of their refusals. The call is
    charged to others too."""
    refusals, model = [], call.get(MODELS)
    for name in names:
        amounts, samples = greatest, None
        if ask.quantile_ppm is not None and model is not None:
            amounts, samples = estimate_amounts(state, ask.organization, name, model, greatest, ask.quantile_ppm)
        choice = _try_path(state, ask, load_path(state, ask.organization, name), call, amounts, other_grants, now_us)
        if not choice.refusals:
            return choice._replace(samples=samples)
        refusals.append(max(choice.refusals, key=_rank_refusal))
    return Choice(refusals=(min(refusals, key=_rank_refusal),))


def _try_path(
    state: State,
    ask: Ask,
    path: Sequence[Grant],
    call: Call,
    amounts: Amounts,
    other_grants: Sequence[str],
    now_us: int,
) -> Choice:
    outside = find_outside(path, call, now_us)
    if outside is not None:
        grant = outside.grant
        return Choice(refusals=(Refusal(
            grant.name, outside.reason, granted_by=grant.granted_by, detail=outside.dimension,
        ),))  # fmt: skip
    charges, remainders, warnings, refusals = [], [], [], []
    names = tuple(grant.name for grant in path)
    charged = {*names, *other_grants}
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
            room = read_room(state, ask.organization, grant, limit, charged, now_us)
            charge = Charge(grant.name, room.key.limit_key, amount or 0)
            charges.append(charge)
            remainders.append(
                Remainder(max(0, room.left - charge.amount), limit.window.find_end(now_us, limit.window.span))
            )
            refusal = _find_refusal(state, grant, room, charge.amount, now_us)
            if refusal is not None and limit.is_enforced:
                refusals.append(refusal)
            elif refusal is not None:
                warnings.append((grant.name, charge.limit_key))
    return Choice(names[:1], names, tuple(charges), tuple(remainders), None, tuple(warnings), tuple(refusals))


def _find_other_currency(limits: Iterable[Limit], amounts: Amounts) -> str | None:
    """Return the currencies of a meter's limits where none of them is the call's."""
    for meter in MONEY:
        currencies = {limit.currency for limit in limits if limit.meter == meter and limit.is_enforced}
        if currencies and amounts.currency is not None and amounts.currency not in currencies:
            return " ".join(sorted(currencies))
    return None


def _find_refusal(state: State, grant: Grant, room: Room, amount: int, now_us: int) -> Refusal | None:
    """Return why a limit has no room for an amount; None where it has."""
    limit = room.limit
    if limit.unknown_usage == "deny" and room.meter.unknown_calls:
        return Refusal(grant.name, "unknown usage", limit_key=limit.key, granted_by=grant.granted_by)
    if amount <= room.left:
        return None
    is_possible, is_contended = room.is_possible(amount), room.is_contended(amount)
    reason = "reserved" if is_contended else "floor" if room.meter.used + amount <= limit.amount else "limit"
    answer: Answer = limit.at_limit if limit.at_limit != "warn" else "deny"
    return Refusal(
        grant.name,
        reason,
        answer,
        limit.key,
        max(room.left, 0),
        find_refill(state, room, amount, now_us) if is_possible and not is_contended else None,
        is_possible and (is_contended or answer == "throttle"),
        limit.downgrade_to,
        grant.granted_by,
        _name_keepers(room) if reason == "floor" else "",
        room.kept if reason == "floor" else 0,
        amount,
    )


def _name_keepers(room: Room) -> str:
    names = [keep.key.grant for keep in room.keeps if keep.amount]
    more_count = len(names) - MAX_NAMES
    return ", ".join(names[:MAX_NAMES]) + (f" and {more_count} more" if more_count > 0 else "")


def _rank_refusal(refusal: Refusal) -> tuple[int, bool, int]:
    """Rank a refusal: the stricter the greater."""
    strictness = ("allow", "downgrade", "throttle", "deny").index(refusal.answer)
    return strictness, not refusal.is_retryable, not refusal.limit_key
