"""Asks: may a call be made, and the reservation of the most that it may cost (docs/rules.md, R19.1 and R19.2)."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from audit.verify.rights.estimates import estimate_amounts
from audit.verify.rights.limits import ANSWERS, MONEY, Amounts, Limit, is_counted, measure
from audit.verify.rights.organization_rights import Basis, Charge, OrganizationRights, Reservation
from audit.verify.rights.rooms import Room, read_room
from audit.verify.rights.tree import Grant, find_obstacle

Price = Callable[[str | None], Amounts]
"""The most that the call of an ask may cost with a model."""


class Ask(NamedTuple):
    """A call that asks to be admitted: its scopes, what sets compare of it, and the grant that it names."""

    name: str
    scopes: Mapping[str, str]
    call: Mapping[str, str | None]
    expires_us: int
    grant: str | None = None
    quantile_ppm: int | None = None  # of an estimate


class Rest(NamedTuple):
    """What a limit has left after a charge, and when all that is used until then has left the window."""

    left_amount: int
    refill_us: int | None


class Refusal(NamedTuple):
    """Why a grant refuses a call, or gives no lease."""

    grant: str
    reason: str
    granted_by: str | None = None
    answer: str = "deny"
    limit: Limit | None = None
    left_amount: int | None = None  # where the room of the limit decides
    refill_us: int | None = None
    is_retryable: bool = False
    kept_amount: int = 0
    needed_amount: int | None = None  # the most that the call may take of the limit

    @property
    def rank(self) -> tuple[int, bool, bool]:
        """Return a figure that is the greater the stricter the refusal is."""
        return ANSWERS.index(self.answer), not self.is_retryable, self.limit is None


class Choice(NamedTuple):
    """The grants by whose right a call may be made and what it is charged to, or why it may not."""

    grants: list[str]  # one of each scope
    path: list[str]  # these and all above them
    charges: list[Charge]
    rests: list[Rest]  # of the charges
    warnings: list[tuple[str, str]]  # limits that only warn, and have no room
    refusals: list[Refusal]
    samples: int | None = None  # calls that an estimate is from


class Answer(NamedTuple):
    """The answer to an ask."""

    answer: str
    model: str | None
    choice: Choice | None = None
    refusal: Refusal | None = None


def decide(rights: OrganizationRights, ask: Ask, price: Price, now_us: int) -> Answer:
    """Answer an ask, and reserve what it may cost where it is allowed."""
    if ask.name in rights.reservations or ask.name in rights.leases:
        return Answer("deny", None, refusal=Refusal("", "duplicate"))
    model = ask.call.get("models")
    greatest = price(model)
    choice = _choose(rights, ask, ask.call, greatest, now_us)
    if not choice.refusals:
        return _reserve(rights, ask, Answer("allow", model, choice), greatest, now_us)
    refusal = max(choice.refusals, key=lambda refusal: refusal.rank)
    answer = refusal.answer
    if answer == "downgrade":
        answer = "deny"
        for cheaper in dict.fromkeys(refusal.limit.downgrade_to for refusal in choice.refusals if refusal.limit):
            greatest = price(cheaper)
            choice = _choose(rights, ask, {**ask.call, "models": cheaper}, greatest, now_us)
            if not choice.refusals:
                return _reserve(rights, ask, Answer("downgrade", cheaper, choice), greatest, now_us)
    return Answer(answer, model, refusal=refusal)


def release(rights: OrganizationRights, name: str) -> bool:
    """Take a reservation off whose call is not made; False where there is none."""
    reservation = rights.reservations.get(name)
    if reservation is None or reservation.is_expired:
        return False
    rights.commit(reservation.charges, -1)
    del rights.reservations[name]
    return True


def list_candidates(names: list[str], grant: str | None) -> list[str]:
    """List the grants of a scope that may allow a call: the one that it names, if the scope has that, else all."""
    return [grant] if grant is not None and grant in names else names


def list_ways(
    rights: OrganizationRights, scopes: Mapping[str, str], grant: str | None, allows: Callable[[list[Grant]], bool]
) -> list[tuple[list[list[Grant]], list[str]]]:
    """List of each scope that has grants the paths of those that may allow a call, and the names that the other scopes
    charge: of each the first path that allows it."""
    ways = [
        [rights.tree.list_path(name) for name in list_candidates(names, grant)]
        for names in rights.tree.list_holdings(rights.organization, scopes)
    ]
    first_paths = [next((path for path in paths if allows(path)), []) for paths in ways]
    return [
        (paths, [grant.name for place, path in enumerate(first_paths) if place != number for grant in path])
        for number, paths in enumerate(ways)
    ]


def _reserve(rights: OrganizationRights, ask: Ask, answer: Answer, greatest: Amounts, now_us: int) -> Answer:
    choice, basis = answer.choice, None
    assert choice is not None, "it is allowed"
    if ask.quantile_ppm is not None and answer.model is not None:
        amounts = greatest.billed, greatest.notional, greatest.tokens, greatest.currency
        basis = Basis(choice.grants, answer.model, *amounts)
    rights.reserve(ask.name, Reservation(choice.path, choice.charges, now_us, ask.expires_us, basis=basis))
    return answer


def _choose(
    rights: OrganizationRights, ask: Ask, call: Mapping[str, str | None], greatest: Amounts, now_us: int
) -> Choice:
    """Choose of each scope that has grants the first that allows the call."""
    choices = []
    ways = list_ways(rights, ask.scopes, ask.grant, lambda path: find_obstacle(path, call, now_us) is None)
    for paths, other_names in ways:
        candidates = [_try_path(rights, ask, path, other_names, call, greatest, now_us) for path in paths]
        fitting = [choice for choice in candidates if not choice.refusals]
        if fitting:
            choices.append(fitting[0])
            continue
        strictest = [max(choice.refusals, key=lambda refusal: refusal.rank) for choice in candidates]
        choices.append(Choice([], [], [], [], [], [min(strictest, key=lambda refusal: refusal.rank)]))
    refusals = [refusal for choice in choices for refusal in choice.refusals]
    grants = [grant for choice in choices for grant in choice.grants]
    if ask.grant is not None and not refusals and ask.grant not in grants:
        refusals = [Refusal(ask.grant, "not held")]
    amounts: dict[tuple[str, str], int] = {}
    rests: dict[tuple[str, str], Rest] = {}
    for charge, rest in [pair for choice in choices for pair in zip(choice.charges, choice.rests, strict=True)]:
        place = charge.grant, charge.limit_key
        amounts[place] = max(amounts.get(place, 0), charge.amount)
        rests[place] = min(rests.get(place, rest), rest, key=lambda rest: rest.left_amount)
    return Choice(
        grants,
        list(dict.fromkeys(name for choice in choices for name in choice.path)),
        [Charge(*place, amount) for place, amount in amounts.items()],
        list(rests.values()),
        list(dict.fromkeys(warning for choice in choices for warning in choice.warnings)),
        refusals,
        min((choice.samples for choice in choices if choice.samples is not None), default=None),
    )


def _try_path(
    rights: OrganizationRights, ask: Ask, path: list[Grant], other_names: list[str],
    call: Mapping[str, str | None], greatest: Amounts, now_us: int,
) -> Choice:  # fmt: skip
    """Ask a grant and all above it for a call: each limit must have room."""
    if (stop := find_obstacle(path, call, now_us)) is not None:
        return Choice([], [], [], [], [], [Refusal(stop.grant.name, stop.reason, stop.grant.granted_by)])
    amounts, samples, model = greatest, None, call.get("models")
    if ask.quantile_ppm is not None and model is not None:
        amounts, samples = estimate_amounts(rights, path[0].name, model, greatest, ask.quantile_ppm)
    names = [grant.name for grant in path]
    choice = Choice(names[:1], names, [], [], [], [], samples)
    for grant in path:
        limits = grant.list_limits(now_us)
        if _has_other_currency(limits, amounts):
            choice.refusals.append(Refusal(grant.name, "currency", grant.granted_by))
        for limit in limits:
            if is_counted(limit, amounts):
                room = read_room(rights, grant, limit, [*names, *other_names], now_us)
                _try_limit(choice, grant, room, measure(limit, amounts), now_us)
    return choice


def _try_limit(choice: Choice, grant: Grant, room: Room, amount: int | None, now_us: int) -> None:
    """Charge a limit, and add why it has no room to the refusals or the warnings."""
    limit = room.limit
    if amount is None and limit.is_enforced and limit.unknown_usage != "tokens_only":
        choice.refusals.append(Refusal(grant.name, "unpriced", grant.granted_by, limit=limit))
        return
    amount = amount or 0
    choice.charges.append(Charge(grant.name, limit.key, amount))
    refill_us = limit.window.find_change(now_us, limit.window.span)
    choice.rests.append(Rest(max(0, room.left_amount - amount), refill_us))
    refusal = _find_refusal(grant, room, amount, now_us)
    if refusal is not None and limit.is_enforced:
        choice.refusals.append(refusal)
    elif refusal is not None:
        choice.warnings.append((grant.name, limit.key))


def _has_other_currency(limits: list[Limit], amounts: Amounts) -> bool:
    """Tell whether all limits of a measure of money are in other currencies than the call."""
    for meter in MONEY:
        currencies = {limit.currency for limit in limits if limit.meter == meter and limit.is_enforced}
        if currencies and amounts.currency is not None and amounts.currency not in currencies:
            return True
    return False


def _find_refusal(grant: Grant, room: Room, amount: int, now_us: int) -> Refusal | None:
    limit = room.limit
    if limit.unknown_usage == "deny" and room.meter.count_unknown(limit):
        return Refusal(grant.name, "unknown usage", grant.granted_by, limit=limit)
    if amount <= room.left_amount:
        return None
    is_possible, is_contended = room.is_possible(amount), room.is_contended(amount)
    is_kept = not is_contended and room.meter.read_used(limit) + amount <= limit.amount
    return Refusal(
        grant.name,
        "reserved" if is_contended else "floor" if is_kept else "limit",
        grant.granted_by,
        limit.at_limit if limit.is_enforced else "deny",
        limit,
        max(room.left_amount, 0),
        room.find_refill(amount, now_us) if is_possible and not is_contended else None,
        is_possible and (is_contended or limit.at_limit == "throttle"),
        room.kept_amount if is_kept else 0,
        amount,
    )
