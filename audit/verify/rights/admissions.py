"""Asks: may a call be made, and the reservation of the most that it may cost (docs/rules.md, R19.1 and R19.2)."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from audit.verify.rights.limits import ANSWERS, MONEY, Amounts, Limit, is_counted, measure
from audit.verify.rights.organization_rights import Charge, OrganizationRights, Reservation
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


class Refusal(NamedTuple):
    """Why a grant refuses a call, or gives no lease."""

    grant: str
    reason: str
    granted_by: str | None = None
    answer: str = "deny"
    limit: Limit | None = None
    left_amount: int = 0
    refill_us: int | None = None
    is_retryable: bool = False

    @property
    def rank(self) -> tuple[int, bool, bool]:
        """Return a figure that is the greater the stricter the refusal is."""
        return ANSWERS.index(self.answer), not self.is_retryable, self.limit is None


class Choice(NamedTuple):
    """The grants by whose right a call may be made and what it is charged to, or why it may not."""

    grants: list[str]  # one of each scope
    path: list[str]  # these and all above them
    charges: list[Charge]
    warnings: list[tuple[str, str]]  # limits that only warn, and have no room
    refusals: list[Refusal]


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
    choice = _choose(rights, ask, ask.call, price(model), now_us)
    if not choice.refusals:
        return _reserve(rights, ask, Answer("allow", model, choice), now_us)
    refusal = max(choice.refusals, key=lambda refusal: refusal.rank)
    answer = refusal.answer
    if answer == "downgrade":
        answer = "deny"
        for cheaper in dict.fromkeys(refusal.limit.downgrade_to for refusal in choice.refusals if refusal.limit):
            choice = _choose(rights, ask, {**ask.call, "models": cheaper}, price(cheaper), now_us)
            if not choice.refusals:
                return _reserve(rights, ask, Answer("downgrade", cheaper, choice), now_us)
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


def _reserve(rights: OrganizationRights, ask: Ask, answer: Answer, now_us: int) -> Answer:
    assert answer.choice is not None, "it is allowed"
    rights.reserve(ask.name, Reservation(answer.choice.path, answer.choice.charges, now_us, ask.expires_us))
    return answer


def _choose(
    rights: OrganizationRights, ask: Ask, call: Mapping[str, str | None], amounts: Amounts, now_us: int
) -> Choice:
    """Choose of each scope that has grants the first that allows the call."""
    choices = []
    for names in rights.tree.list_holdings(rights.organization, ask.scopes):
        candidates = [_try_grant(rights, name, call, amounts, now_us) for name in list_candidates(names, ask.grant)]
        fitting = [choice for choice in candidates if not choice.refusals]
        if fitting:
            choices.append(fitting[0])
            continue
        strictest = [max(choice.refusals, key=lambda refusal: refusal.rank) for choice in candidates]
        mildest = min(strictest, key=lambda refusal: refusal.rank)
        choices.append(Choice([], [], [], [], [mildest]))
    refusals = [refusal for choice in choices for refusal in choice.refusals]
    grants = [grant for choice in choices for grant in choice.grants]
    if ask.grant is not None and not refusals and ask.grant not in grants:
        refusals = [Refusal(ask.grant, "not held")]
    return Choice(
        grants,
        list(dict.fromkeys(name for choice in choices for name in choice.path)),
        list(dict.fromkeys(charge for choice in choices for charge in choice.charges)),
        list(dict.fromkeys(warning for choice in choices for warning in choice.warnings)),
        refusals,
    )


def _try_grant(
    rights: OrganizationRights, name: str, call: Mapping[str, str | None], amounts: Amounts, now_us: int
) -> Choice:
    """Ask a grant and all above it for a call: each limit must have room."""
    path = rights.tree.list_path(name)
    if (stop := find_obstacle(path, call, now_us)) is not None:
        return Choice([], [], [], [], [Refusal(stop.grant.name, stop.reason, stop.grant.granted_by)])
    charges, warnings, refusals = [], [], []
    for grant in path:
        limits = grant.list_limits(now_us)
        if _has_other_currency(limits, amounts):
            refusals.append(Refusal(grant.name, "currency", grant.granted_by))
        for limit in limits:
            if not is_counted(limit, amounts):
                continue
            amount = measure(limit, amounts)
            if amount is None and limit.is_enforced and limit.unknown_usage != "tokens_only":
                refusals.append(Refusal(grant.name, "unpriced", grant.granted_by, limit=limit))
                continue
            charges.append(Charge(grant.name, limit.key, amount or 0))
            refusal = _find_refusal(rights, grant, limit, amount or 0, now_us)
            if refusal is not None and limit.is_enforced:
                refusals.append(refusal)
            elif refusal is not None:
                warnings.append((grant.name, limit.key))
    return Choice([name], [grant.name for grant in path], charges, warnings, refusals)


def _has_other_currency(limits: list[Limit], amounts: Amounts) -> bool:
    """Tell whether all limits of a measure of money are in other currencies than the call."""
    for meter in MONEY:
        currencies = {limit.currency for limit in limits if limit.meter == meter and limit.is_enforced}
        if currencies and amounts.currency is not None and amounts.currency not in currencies:
            return True
    return False


def _find_refusal(rights: OrganizationRights, grant: Grant, limit: Limit, amount: int, now_us: int) -> Refusal | None:
    meter = rights.read_meter(grant, limit, now_us)
    if limit.unknown_usage == "deny" and meter.count_unknown(limit):
        return Refusal(grant.name, "unknown usage", grant.granted_by, limit=limit)
    left_amount = meter.read_left(limit)
    if amount <= left_amount:
        return None
    is_possible = amount <= limit.amount
    is_contended = is_possible and meter.read_used(limit) + amount <= limit.amount
    return Refusal(
        grant.name,
        "reserved" if is_contended else "limit",
        grant.granted_by,
        limit.at_limit if limit.is_enforced else "deny",
        limit,
        max(left_amount, 0),
        meter.find_room(limit, amount, now_us) if is_possible and not is_contended else None,
        is_contended or (is_possible and limit.at_limit == "throttle"),
    )
