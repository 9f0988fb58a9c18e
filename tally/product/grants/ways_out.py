"""The commands that would allow a call that grants refuse: what on the way has no room for it, or does not allow it."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from streams.folds.grants.floors import read_room
from streams.folds.grants.limits import MONEY, Amounts, Limit, is_measured, measure
from streams.folds.grants.meters import MeterKey, read_meter
from streams.folds.grants.tree import Grant, list_limits, read_set
from streams.folds.state import State
from tally.product.grants.text import describe_moment, format_limit
from tallystick.rights.sets import FIELDS, Call

DAY_US = 86_400_000_000
EXTENSION_DAYS = 30
"""Days for which a command extends a grant that has expired."""
_OPTIONS = {"inference_classes": "classes"}
"""The option for each dimension of a set, where it is not the dimension's name."""


class WayOut(NamedTuple):
    """The commands that would allow a call, parents first, and what no command can do."""

    commands: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class AskedCall(NamedTuple):
    """A call that was asked for: its values in sets, what it asks of a path, the grants to which it is charged on all
    paths, and the state that it met."""

    organization: str
    call: Call
    amounts: Amounts
    charged: frozenset[str]
    state: State
    now_us: int


def find_way_out(request: AskedCall, path: Sequence[Grant]) -> WayOut:
    """Find what would allow a call by the first grant of a path. Nothing where the path allows it."""
    commands, notes = list[str](), list[str]()
    for index, grant in reversed(list(enumerate(path))):
        notes += _find_notes(request, grant)
        options = list(_find_options(request, grant, path[:index]))
        if options and grant.revoked_us is None:
            commands.append(f"tally grant extend {grant.name} {' '.join(options)}")
    return WayOut(tuple(commands), tuple(notes))


def read_shortage(request: AskedCall, grant: Grant, limit: Limit) -> int:
    """Return by how much a limit is too low for a call; 0 where it has room, or does not count it."""
    amount = measure(limit, request.amounts) if is_measured(limit, request.amounts) else None
    if amount is None:
        return 0
    room = read_room(request.state, request.organization, grant, limit, request.charged, request.now_us)
    return max(0, amount - room.left)


def _find_options(request: AskedCall, grant: Grant, below: Sequence[Grant]) -> Iterator[str]:
    """Yield the options by which a grant allows a call, and leaves room for what the grants below it need."""
    for dimension, values in read_set(grant.allow).values:
        value = request.call.get(dimension)
        if value is not None and not values.contains(value.lower()):
            yield f"--{_OPTIONS.get(dimension, dimension).replace('_', '-')} {','.join([*sorted(values.names), value])}"
    for limit in grant.limits:
        demand = max(_find_demand(request, holder, limit) for holder in (grant, *below))
        is_unknown = _has_unknown_usage(request, grant, limit)
        if demand > limit.amount or is_unknown:
            yield f"--limit {format_limit(replace(limit, amount=max(demand, limit.amount)))}"
            if limit.window.first_month != 1:
                yield f"--first-month {limit.window.first_month}"
        if is_unknown:
            yield "--unknown-usage tokens_only"
    if grant.expires_us is not None and request.now_us >= grant.expires_us:
        yield f"--expires {describe_moment((request.now_us // DAY_US + EXTENSION_DAYS) * DAY_US)}"
    if grant.is_paused:
        yield "--resume"


def _find_demand(request: AskedCall, grant: Grant, limit: Limit) -> int:
    """Return the amount that a grant's own limit of the identity of another needs; 0 where it needs no other."""
    own_limit = next((candidate for candidate in grant.limits if candidate.key == limit.key), None)
    if own_limit is None or not own_limit.is_enforced:
        return 0
    shortage = read_shortage(request, grant, own_limit)
    return own_limit.amount + shortage if shortage else 0


def _has_unknown_usage(request: AskedCall, grant: Grant, limit: Limit) -> bool:
    if limit.unknown_usage != "deny" or not limit.is_enforced:
        return False
    key = MeterKey(request.organization, grant.name, limit.key)
    return read_meter(request.state, key, limit, request.now_us).unknown_calls > 0


def _find_notes(request: AskedCall, grant: Grant) -> Iterator[str]:
    """Yield what no extension changes."""
    now_us = request.now_us
    if grant.revoked_us is not None:
        yield f"{grant.name} is revoked for ever: create another grant with `tally grant create`"
    if now_us < grant.starts_us:
        yield f"{grant.name} starts at {describe_moment(grant.starts_us)}"
    for dimension, _ in read_set(grant.allow).values:
        if request.call.get(dimension) is None:
            value_name = FIELDS[dimension].replace("_", " ")
            yield f"the ask says no {value_name}, and {grant.name} has a list of them: send it"
    limits = list_limits(grant, now_us)
    for posture in grant.list_postures(now_us):
        is_outside = read_set(posture.allow).find_outside(request.call) is not None
        is_short = any(limit in limits and read_shortage(request, grant, limit) for limit in posture.limits)
        if posture.is_paused or is_outside or is_short:
            yield f"{grant.name} is narrowed until {describe_moment(posture.until_us)}, which nothing ends before"
    for limit in limits:
        is_unknown = is_measured(limit, request.amounts) and measure(limit, request.amounts) is None
        if is_unknown and limit.is_enforced and limit.unknown_usage != "tokens_only":
            yield (
                f"{limit.key} of {grant.name} needs the greatest cost of the call: send input_tokens, max_tokens, "
                "and provider and model as the price book names them"
            )
    for meter in MONEY:
        currencies = {limit.currency for limit in limits if limit.meter == meter and limit.is_enforced}
        if currencies and request.amounts.currency is not None and request.amounts.currency not in currencies:
            yield (
                f"{grant.name} has limits in {' '.join(sorted(currencies))} alone: `tally grant narrow {grant.name} "
                f"--limit {meter}:AMOUNT{request.amounts.currency}/WINDOW` adds one"
            )
