"""Every interleaving of a small world: two grants under a third, calls, leases, losses, crashes and time.

The world knows the truth: when each call was made and what it cost. In no state does any window of any grant hold more
than its limit of calls that settled before their reservation or lease expired, nothing is refused for which there is
room, and nothing stays held once all is over. Where one of the two has a floor, the third always has left what it keeps
for it. Each rule of the core, taken out, breaks one of these.
"""

import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import msgspec
import pytest
from msgspec.structs import replace

from streams.folds.grants import admission, floors, leases, meters, tree_changes, uses
from streams.folds.grants.admission import Ask
from streams.folds.grants.floors import Keep
from streams.folds.grants.leases import LeaseAsk
from streams.folds.grants.limits import Amounts, Limit
from streams.folds.grants.meters import Meter, MeterKey, read_meter
from streams.folds.grants.tree import Grant, load_grant
from streams.folds.grants.tree_changes import create_grant
from streams.folds.grants.uses import UsedCall
from streams.folds.grants.windows import Window
from streams.folds.state import Row, State

ORGANIZATION, SECOND, WINDOW_US = "acme", 1_000_000, 60_000_000
LIMITS = {"root": 3, "left": 2, "right": 2}
CHILDREN = ("left", "right")
MOMENTS_US = tuple(int(moment * SECOND) for moment in (1000.5, 1020.5, 1040.5, 1060.2))
"""The fourth lies less than a window after the first, in the last bucket that may still hold it."""
MAX_ASKS = 2
CALL = 2
"""Tokens of a call that is asked for: two are more than any limit holds."""
LIFE_US = 25 * SECOND
CLOCKS_BEHIND_S = [0, 3600]
"""Clocks of the sources of calls."""
LIMIT = {name: Limit("tokens", amount, Window("rolling", WINDOW_US)) for name, amount in LIMITS.items()}


class Call(NamedTuple):
    """A call that is being made: the grant that it is of, what it may cost, since when, and by which admission."""

    admission: str
    child: str
    amount: int
    start_us: int
    expires_us: int


class Fact(NamedTuple):
    """A call that was made, as it truly was; ``is_late`` if it settled after its reservation had expired."""

    child: str
    amount: int
    start_us: int
    is_late: bool
    position: int


class Holder(NamedTuple):
    """The holder of a lease, with what it may still admit."""

    lease: str
    child: str
    amount: int
    expires_us: int


class World(NamedTuple):
    moment: int = 0
    calls: tuple[Call, ...] = ()
    facts: tuple[Fact, ...] = ()
    holders: tuple[Holder, ...] = ()
    held: tuple[tuple[str, str, int, int], ...] = ()  # reservations and leases: name, grant, amount, expiry
    asks: int = 0

    @property
    def now_us(self) -> int:
        return MOMENTS_US[self.moment]


class Violation(AssertionError):
    """A state that must not be."""


TREE = ("grant", "holders", "dimensions")
ENCODED: dict[int, tuple[Row, bytes]] = {}


def copy_state(state: State, *, is_restart: bool = False) -> State:
    """Copy a state, as it is or as a store gives it back."""
    twin = State()
    twin._cache = dict(state._cache)
    if is_restart:
        for key, row in state._cache.items():
            if row is not None and key[1] not in TREE:
                twin._cache[key] = Row(msgspec.json.decode(encode_row(row)), row.due_us)
    twin._queue, twin._due_by_key = list(state._queue), dict(state._due_by_key)
    return twin


def encode_row(row: Row) -> bytes:
    if id(row) not in ENCODED:
        ENCODED[id(row)] = row, msgspec.json.encode(row.value)  # with the row, so that nothing else gets its id
    return ENCODED[id(row)][1]


def describe_state(state: State, world: World) -> Any:
    rows = state._cache.items()
    return frozenset((key, encode_row(row)) for key, row in rows if row is not None and key[1] not in TREE), world


def build_state() -> State:
    state = State()
    for name, parent in (("root", None), ("left", "root"), ("right", "root")):
        dimension = "team" if parent is None else "user"
        grant = Grant(name, parent, dimension, name, (), (LIMIT[name],))
        assert create_grant(state, ORGANIZATION, grant, MOMENTS_US[0]) is None
    return state


# the steps of the world


def ask(state: State, world: World, child: str) -> World:
    name, expires_us = f"a{world.asks}", world.now_us + LIFE_US
    answer = admission.decide(
        state, Ask(ORGANIZATION, name, {"user": child}, {}, expires_us), lambda _: Amounts(tokens=CALL), world.now_us
    )
    has_room = count_left(world, child) >= CALL
    if (answer.answer == "allow") != has_room:
        raise Violation(f"{answer} where there is {'' if has_room else 'no '}room")
    world = world._replace(asks=world.asks + 1)
    if not has_room:
        return world
    call = Call(name, child, CALL, world.now_us, expires_us)
    return world._replace(calls=(*world.calls, call), held=(*world.held, (name, child, CALL, expires_us)))


def end_call(state: State, world: World, call: Call, time_us: int) -> World:
    """The event of a call arrives, with a time that its source gives it."""
    position = len(world.facts)
    used_call = UsedCall(
        ORGANIZATION, (position, 0), time_us, {"user": call.child}, {}, Amounts(tokens=call.amount),
        admission=call.admission,
    )  # fmt: skip
    settlement = uses.settle(state, used_call, world.now_us)
    is_late = world.now_us >= call.expires_us
    if bool(settlement.overshoot) and not any(fact.is_late for fact in world.facts) and not is_late:
        raise Violation(f"overshoot of {settlement.overshoot}")
    held = []
    for name, child, amount, expires_us in world.held:
        taken = amount if name[0] == "a" else call.amount
        remaining = amount - taken if name == call.admission else amount
        held += [(name, child, remaining, expires_us)] if remaining > 0 else []
    fact = Fact(call.child, call.amount, call.start_us, is_late, position)
    calls = tuple(open_call for open_call in world.calls if open_call != call)
    return world._replace(calls=calls, facts=(*world.facts, fact), held=tuple(held))


def ask_lease(state: State, world: World, child: str) -> World:
    name, expires_us = f"l{world.asks}", world.now_us + LIFE_US
    answer = leases.grant_lease(
        state,
        LeaseAsk(ORGANIZATION, name, "gateway", {"user": child}, {"tokens": 2}, "", expires_us, expires_us),
        world.now_us,
    )
    world = world._replace(asks=world.asks + 1)
    left = count_left(world, child)
    if bool(answer.amounts) != (left > 0):
        raise Violation(f"{answer} where {left} is left")
    if left <= 0:
        return world
    amount = answer.amounts["tokens"]
    return world._replace(
        holders=(*world.holders, Holder(name, child, amount, expires_us)),
        held=(*world.held, (name, child, amount, expires_us)),
    )


def admit_by_lease(state: State, world: World, holder: Holder) -> World:
    spent = holder._replace(amount=holder.amount - 1)
    call = Call(holder.lease, holder.child, 1, world.now_us, holder.expires_us)
    holders = tuple(spent if each == holder else each for each in world.holders)
    return world._replace(holders=holders, calls=(*world.calls, call))


def give_back(state: State, world: World, holder: Holder) -> World:
    leases.return_lease(state, ORGANIZATION, holder.lease, {"tokens": holder.amount}, world.now_us)
    held = tuple(
        (name, child, amount - holder.amount if name == holder.lease else amount, expires_us)
        for name, child, amount, expires_us in world.held
    )
    holders = tuple(each for each in world.holders if each != holder)
    return world._replace(holders=holders, held=tuple(lease for lease in held if lease[2] > 0))


def reverse(state: State, world: World) -> World:
    fact = world.facts[-1]
    uses.take_back(state, ORGANIZATION, (fact.position, 0), world.now_us)
    return world._replace(facts=(*world.facts[:-1], fact._replace(amount=0)))


def pass_time(state: State, world: World) -> World:
    world = world._replace(moment=world.moment + 1)
    for _, key in state.take_due(world.now_us):
        match key[1]:
            case "reservation":
                admission.expire_reservation(state, key)
            case "lease":
                leases.expire_lease(state, key)
            case "meter":
                meters.rearm_thresholds(state, MeterKey(*map(str, key[2:])), LIMIT[str(key[3])], world.now_us)
    holders = tuple(holder for holder in world.holders if holder.expires_us > world.now_us)
    held = tuple(lease for lease in world.held if lease[3] > world.now_us)
    return world._replace(holders=holders, held=held)


def list_steps(world: World) -> Iterator[tuple[str, Callable[[State, World], World]]]:
    if world.asks < MAX_ASKS:
        for child in CHILDREN:
            yield f"ask {child}", partial(ask, child=child)
            if not world.holders:
                yield f"lease {child}", partial(ask_lease, child=child)
    for call in dict.fromkeys(world.calls):
        for behind_s in CLOCKS_BEHIND_S:
            name = f"settle {call.admission} by a clock that is {behind_s} s behind"
            yield name, partial(end_call, call=call, time_us=call.start_us - behind_s * SECOND)
    for holder in world.holders:
        if holder.amount:
            yield f"admit by {holder.lease}", partial(admit_by_lease, holder=holder)
        yield f"return {holder.lease}", partial(give_back, holder=holder)
    if world.facts and world.facts[-1].amount and not world.facts[-1].is_late:
        yield "reverse", reverse
    if world.moment + 1 < len(MOMENTS_US):
        yield "time passes", pass_time


# the truth


def count_used(world: World, grant: str) -> int:
    """Add up what a grant's window of now holds, by buckets."""
    last = world.now_us // SECOND
    return sum(
        fact.amount for fact in world.facts if grant in ("root", fact.child) and last - fact.start_us // SECOND <= 60
    )


def count_held(world: World, grant: str) -> int:
    """Add up what is reserved and leased of a grant."""
    return sum(amount for _, child, amount, _ in world.held if grant in ("root", child))


def count_all(world: World, grant: str) -> int:
    return count_used(world, grant) + count_held(world, grant)


def count_kept(world: World, child: str) -> int:
    """Add up what the root keeps for a child."""
    return max(0, LIMIT[child].floor - LIMIT[child].lend - count_all(world, child))


def count_left(world: World, child: str) -> int:
    """Return what a call of a child may take of its own limit and of what the root does not keep for the other."""
    (other,) = (name for name in CHILDREN if name != child)
    left_of_root = LIMITS["root"] - count_all(world, "root") - count_kept(world, other)
    return min(left_of_root, LIMITS[child] - count_all(world, child))


def check(state: State, world: World) -> None:
    if not any(fact.is_late for fact in world.facts):
        kept = sum(count_kept(world, child) for child in CHILDREN)
        if count_all(world, "root") + kept > LIMITS["root"]:
            raise Violation(f"the root has used or given away what it keeps: {kept}")
    for grant, limit in LIMITS.items():
        facts = [fact for fact in world.facts if not fact.is_late and grant in ("root", fact.child)]
        for last in facts:
            spent = sum(fact.amount for fact in facts if 0 <= last.start_us - fact.start_us < WINDOW_US)
            if spent > limit:
                raise Violation(f"{spent} of {limit} were spent of {grant} in the window that ends at {last.start_us}")
        meter = read_meter(state, MeterKey(ORGANIZATION, grant, LIMIT[grant].key), LIMIT[grant], world.now_us)
        if meter.used != count_used(world, grant):
            raise Violation(f"{grant}: {meter} where {count_used(world, grant)} was used")
        if meter.committed != count_held(world, grant):
            raise Violation(f"{grant}: {meter} where {count_held(world, grant)} is held")


def explore() -> int:
    """Visit every state of the world, and return their number. Violation at the first that must not be."""
    state, world = build_state(), World()
    seen = {describe_state(state, world)}
    waiting: list[tuple[State, World, tuple[str, ...]]] = [(state, world, ())]
    while waiting:
        state, world, past = waiting.pop()
        for name, step in list_steps(world):
            twin = copy_state(state, is_restart=name == "time passes")
            try:
                later = step(twin, world)
                check(twin, later)
            except AssertionError as error:
                raise Violation(f"{error}, after {', '.join((*past, name))}") from error
            identity = describe_state(twin, later)
            if identity not in seen:
                seen.add(identity)
                waiting.append((twin, later, (*past, name)))
    return len(seen)


def test_no_interleaving_exceeds_a_limit_refuses_what_has_room_or_leaks() -> None:
    assert explore() > 10_000


@pytest.fixture
def _floor(monkeypatch: pytest.MonkeyPatch) -> None:
    """The left grant has a floor of two, and lends one of them. The right one may take all, and clocks are right."""
    monkeypatch.setitem(LIMIT, "left", replace(LIMIT["left"], floor=2, lend=1))
    monkeypatch.setitem(LIMIT, "right", replace(LIMIT["right"], amount=3))
    monkeypatch.setitem(LIMITS, "right", 3)
    monkeypatch.setattr(sys.modules[__name__], "CLOCKS_BEHIND_S", [0])


@pytest.mark.usefixtures("_floor")
def test_no_interleaving_takes_a_floor_from_its_holder_or_keeps_more() -> None:
    assert explore() > 2_000


def take_nothing(*_: Any, **__: Any) -> None:
    """Do nothing, in place of a rule."""


def charge_half_of_the_path(function: Any) -> Any:
    return lambda *arguments: function(*arguments)[:1]


def forget(field: str) -> Any:
    """A meter that forgets a part of what is committed."""
    return property(lambda meter: meter.reserved + meter.leased - getattr(meter, field))


def expire_early(function: Any) -> Any:
    return lambda state, ask, *rest: function(state, ask._replace(expires_us=ask.expires_us - 15 * SECOND), *rest)


def trust_the_clock(function: Any) -> Any:
    def count(state: State, call: UsedCall, grants: Any, _: int, now_us: int, **how: Any) -> Any:
        return function(state, call, grants, call.time_us, now_us, **how)

    return count


def return_all(function: Any) -> Any:
    def take_back(state: State, organization: str, name: str, _: Any, now_us: int) -> Any:
        return function(state, organization, name, {"tokens": 10}, now_us)

    return take_back


def shorten_windows(_: Any) -> Any:
    return property(lambda window: 60)


def spend_as_reserved(function: Any) -> Any:
    def spend(*arguments: Any, **how: Any) -> Any:
        state, key, limit, amount, *rest = arguments
        return function(state, key, limit, 0 if key.grant == "root" else amount, *rest, **how)

    return spend


def share_with_siblings(function: Any) -> Any:
    """Charge a sibling as well."""

    def load(state: State, organization: str, name: str) -> list[Grant]:
        path = function(state, organization, name)
        sibling = load_grant(state, organization, {"left": "right", "right": "left"}.get(name, "root"))
        return [*path, sibling] if name in CHILDREN and sibling is not None else list(path)

    return load


def settle_late_for_nothing(function: Any) -> Any:
    def settle(state: State, call: UsedCall, grants: Any, admitted_us: int, now_us: int, **how: Any) -> Any:
        is_late = how.get("reservation") is not None and how["reservation"].is_expired
        return function(state, call, () if is_late else grants, admitted_us, now_us, **how)

    return settle


RULES: dict[str, tuple[Any, str, Callable[[Any], Any]]] = {
    "a parent's limit holds over its children": (admission, "load_path", charge_half_of_the_path),
    "a parent is charged for what is spent": (uses, "spend", spend_as_reserved),
    "siblings do not shrink each other": (admission, "load_path", share_with_siblings),
    "what is reserved counts": (Meter, "committed", lambda _: forget("reserved")),
    "what is leased counts": (Meter, "committed", lambda _: forget("leased")),
    "what is spent counts": (uses, "spend", lambda _: take_nothing),
    "a settlement takes its reservation back": (uses, "uncharge", lambda _: take_nothing),
    "an expiry takes its reservation back": (admission, "uncharge", lambda _: take_nothing),
    "a reservation holds as long as its call may settle": (admission, "decide", expire_early),
    "a lease holds as long as its calls may settle": (leases, "grant_lease", expire_early),
    "a call of a lease takes from the lease": (uses, "_take_lease", lambda _: take_nothing),
    "a return leaves what still runs": (leases, "return_lease", return_all),
    "a lost lease expires": (leases, "take_from_lease", lambda _: take_nothing),
    "the oldest bucket counts whole": (Window, "span", shorten_windows),
    "a call counts no earlier than its admission": (uses, "_count", trust_the_clock),
    "a late settlement counts": (uses, "_count", settle_late_for_nothing),
    "a reversal gives back": (uses, "unspend", lambda _: take_nothing),
}


def keep(count: Callable[[Keep], int]) -> Any:
    """A floor of which something else is kept."""
    return property(lambda keep: max(0, count(keep)))


def charge_nobody(function: Any) -> Any:
    return lambda state, organization, grant, limit, _, now_us: function(state, organization, grant, limit, (), now_us)


RULES_OF_FLOORS: dict[str, tuple[Any, str, Callable[[Any], Any]]] = {
    "a limit keeps the floors of its children": (tree_changes, "index_floors", lambda _: take_nothing),
    "a lease leaves what is kept": (leases, "read_room", lambda function: partial(read_room_without_keeps, function)),
    "an ask leaves what is kept": (admission, "read_room", lambda function: partial(read_room_without_keeps, function)),
    "what is used fills a floor": (Keep, "amount", lambda _: keep(lambda kept: kept.guarantee - kept.meter.committed)),
    "what is reserved fills a floor": (
        Keep, "amount", lambda _: keep(lambda kept: kept.guarantee - kept.meter.used - kept.meter.leased),
    ),
    "what is leased fills a floor": (
        Keep, "amount", lambda _: keep(lambda kept: kept.guarantee - kept.meter.used - kept.meter.reserved),
    ),
    "what is lent is not kept": (Limit, "guarantee", lambda _: property(lambda limit: limit.floor)),
    "nothing is kept from the holder of a floor": (admission, "read_room", charge_nobody),
    "nothing is kept from the leases of its holder": (leases, "read_room", charge_nobody),
}  # fmt: skip


def read_room_without_keeps(function: Any, *arguments: Any) -> floors.Room:
    room: floors.Room = function(*arguments)
    return room._replace(keeps=())


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_is_needed(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place, name, change = RULES[rule]
    monkeypatch.setattr(place, name, change(getattr(place, name)))
    with pytest.raises(Violation):
        explore()


@pytest.mark.usefixtures("_floor")
@pytest.mark.parametrize("rule", RULES_OF_FLOORS)
def test_each_rule_of_floors_is_needed(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place, name, change = RULES_OF_FLOORS[rule]
    monkeypatch.setattr(place, name, change(getattr(place, name)))
    with pytest.raises(Violation):
        explore()
