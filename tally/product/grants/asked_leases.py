"""A lease as it was asked for: the limits on its way, and what its holder spent of it."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from streams.folds.event import Event
from streams.folds.grants.admission import Choice, Refusal, list_candidates
from streams.folds.grants.floors import read_room
from streams.folds.grants.leases import LeaseAsk, grant_lease
from streams.folds.grants.limits import MONEY
from streams.folds.grants.requests import read_lease_amounts, read_scopes
from streams.folds.grants.tree import Grant, list_holdings, list_limits, load_path
from streams.folds.state import State
from tally.product.grants.usage import LimitUsage, measure_limit


class LimitAtAsk(NamedTuple):
    """A limit on the way of an ask as that met it. ``amount`` is what was asked of it; None where it counts nothing
    of the ask, or that is not known."""

    grant: str
    usage: LimitUsage
    amount: int | None
    has_room: bool


def list_lease_limits(event: Event, before: State, after: State, now_us: int) -> list[LimitAtAsk]:
    """List the limits on the way of a lease. ``before`` and ``after`` are states as the ask met them; the lease is
    given in the second."""
    data, organization = event.data, event.organization
    amounts, currency = read_lease_amounts(data), data.get("currency") or ""
    ask = LeaseAsk(organization, event.id, "", read_scopes(data), amounts, currency, now_us, now_us, data.get("grant"))
    answer = grant_lease(after, ask, now_us)
    refusals: tuple[Refusal, ...] = () if answer.refusal is None else (answer.refusal,)
    choice = Choice(answer.grants, refusals=refusals)
    holdings = [list_candidates(names, ask.grant) for _, names in list_holdings(before, organization, ask.scopes)]
    paths = [choose_path([load_path(before, organization, name) for name in names], choice) for names in holdings]
    charged = frozenset(grant.name for path in paths for grant in path)
    limits = {}
    pairs = [(grant, limit) for path in paths for grant in path for limit in list_limits(grant, now_us)]
    for grant, limit in pairs:
        room = read_room(before, organization, grant, limit, charged, now_us)
        is_counted = limit.meter not in MONEY or limit.currency == currency
        amount = amounts.get(limit.meter) if is_counted else None
        limits[grant.name, limit.key] = LimitAtAsk(
            grant.name, measure_limit(room, before, now_us), amount, amount is not None and room.left > 0
        )
    return list(limits.values())


def choose_path(paths: Sequence[list[Grant]], choice: Choice) -> list[Grant]:
    """Choose the path of the grant that allows the call, else of the one whose refusal counts."""
    refusing = {refusal.grant for refusal in choice.refusals}
    allowing = next((path for path in paths if path[0].name in choice.grants), None)
    refused = next((path for path in paths if any(grant.name in refusing for grant in path)), paths[0])
    return allowing or refused


def sum_charges(settlements: Iterable[Mapping[str, Any]], field: str) -> list[dict[str, Any]]:
    """Sum the charges of a field of settlements, by grant and limit."""
    sums: dict[tuple[str, str], Any] = {}
    for settlement in settlements:
        for charge in settlement[field]:
            amount = Decimal(charge["amount"]) if isinstance(charge["amount"], str) else charge["amount"]
            key = charge["grant"], charge["limit"]
            sums[key] = sums.get(key, 0) + amount
    return [
        {"grant": grant, "limit": limit, "amount": format(amount, "f") if isinstance(amount, Decimal) else amount}
        for (grant, limit), amount in sums.items()
    ]
