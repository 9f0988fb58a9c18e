"""Floors: whatever is asked, used and lent, a limit is not exceeded, and what it keeps for a child is there."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.folds.grants import tree_changes, uses
from streams.folds.grants.admission import Ask, decide, expire_reservation
from streams.folds.grants.floors import MAX_FLOORS, Room, read_room
from streams.folds.grants.leases import LeaseAsk, expire_lease, grant_lease
from streams.folds.grants.limits import Amounts, Limit
from streams.folds.grants.meters import MeterKey, rearm_thresholds
from streams.folds.grants.tree import Change, Grant, list_limits, load_grant
from streams.folds.grants.uses import UsedCall
from streams.folds.grants.windows import Window
from streams.folds.state import State
from tests.streams.folds.grants.test_grant_fold import grant, limit, list_decisions, list_reasons

ORGANIZATION, SECOND = "acme", 1_000_000
WINDOW = Window("rolling", 60 * SECOND)
CHILDREN = ("a", "b", "c")
STEP = st.tuples(
    st.sampled_from(("ask", "ask", "lease", "settle", "settle", "wait")),
    st.sampled_from(CHILDREN),
    st.integers(1, 12),
    st.integers(0, 40),
)


def build_limit(amount: int, floor: int = 0, lend: int = 0) -> Limit:
    return Limit("tokens", amount, WINDOW, floor=floor, lend=lend)


def give(state: State, name: str, parent: str | None, *limits: Limit, now_us: int = 0, **fields: Any) -> str | None:
    dimension = "team" if parent is None else "user"
    return tree_changes.create_grant(
        state, ORGANIZATION, Grant(name, parent, dimension, name, (), limits, now_us, **fields), now_us
    )


def ask(state: State, name: str, child: str, amount: int, now_us: int) -> str:
    ask = Ask(ORGANIZATION, name, {"user": child}, {}, now_us + 30 * SECOND)
    return decide(state, ask, lambda _: Amounts(tokens=amount), now_us).answer


def find_room(state: State, name: str, now_us: int) -> Room:
    grant = load_grant(state, ORGANIZATION, name)
    assert grant is not None
    return read_room(state, ORGANIZATION, grant, list_limits(grant, now_us)[0], (), now_us)


def pass_time(state: State, now_us: int) -> None:
    for _, key in state.take_due(now_us):
        match key[1]:
            case "reservation":
                expire_reservation(state, key)
            case "lease":
                expire_lease(state, key)
            case "use":
                state.delete(key)
            case "meter":
                rearm_thresholds(
                    state, MeterKey(*map(str, key[2:])), find_room(state, str(key[3]), now_us).limit, now_us
                )


@settings(max_examples=150, deadline=None)
@given(st.tuples(*[st.tuples(st.integers(0, 10), st.integers(0, 10))] * 3), st.lists(STEP, min_size=5, max_size=40))
def test_a_floor_is_always_there_and_a_limit_is_never_exceeded(
    floors: tuple[tuple[int, int], ...], steps: list[tuple[str, str, int, int]]
) -> None:
    state, now_us, calls = State(), 1_000 * SECOND, list[tuple[str, str, int, int]]()
    give(state, "root", None, build_limit(30))
    for child, (floor, lend) in zip(CHILDREN, floors, strict=True):
        assert give(state, child, "root", build_limit(25, floor, min(lend, floor))) is None
    for number, (action, child, amount, seconds) in enumerate(steps):
        name = f"{action}{number}"
        if action == "wait":
            now_us += seconds * SECOND
            pass_time(state, now_us)
            calls = [call for call in calls if call[3] > now_us]  # what settles late may exceed a limit
        elif action == "settle" and calls:
            admission, holder, most, _ = calls.pop(seconds % len(calls))
            call = UsedCall(
                ORGANIZATION, (number, 0), now_us, {"user": holder}, {}, Amounts(tokens=min(amount, most)),
                admission=admission,
            )  # fmt: skip
            uses.settle(state, call, now_us)
        elif action == "lease":
            lease = LeaseAsk(ORGANIZATION, name, "gateway", {"user": child}, {"tokens": amount}, "", now_us, now_us)
            grant_lease(state, lease._replace(expires_us=now_us + 20 * SECOND), now_us)
        elif action == "ask":
            kept = next((keep.amount for keep in find_room(state, "root", now_us).keeps if keep.key.grant == child), 0)
            answer = ask(state, name, child, amount, now_us)
            assert answer == "allow" or amount > min(kept, find_room(state, child, now_us).left), (number, answer)
            calls += [(name, child, amount, now_us + 30 * SECOND)] if answer == "allow" else []
        room = find_room(state, "root", now_us)
        assert room.left >= 0, (number, room)
        assert sum(find_room(state, child, now_us).meter.used for child in CHILDREN) == room.meter.used


def test_floors_count_at_each_level_for_the_way_of_a_call() -> None:
    """A floor of a grandchild is kept by its parent, and by the root as far as the parent has a floor itself."""
    state = State()
    give(state, "root", None, build_limit(10))
    give(state, "middle", "root", build_limit(8, 4))
    give(state, "leaf", "middle", build_limit(8, 6))
    give(state, "other", "root", build_limit(10))
    give(state, "sibling", "middle", build_limit(8))
    assert [ask(state, f"{child}{amount}", child, amount, 1) for child, amount in (
        ("sibling", 3), ("other", 7), ("other", 6), ("sibling", 2), ("leaf", 4), ("leaf", 2),
    )] == ["deny", "deny", "allow", "allow", "deny", "allow"]  # fmt: skip


def test_a_floor_ends_with_its_grant_and_stays_through_a_pause() -> None:
    for name, change in (
        ("paused", Change(is_paused=True)),
        ("narrowed", Change(limits=(build_limit(5, 2),), until_us=50)),
        ("narrowed for good", Change(limits=(build_limit(5, 2),))),
    ):
        state = State()
        give(state, "root", None, build_limit(10))
        give(state, "a", "root", build_limit(5, 4), expires_us=100)
        assert tree_changes.narrow_grant(state, ORGANIZATION, "a", change, 1) is None
        lefts = [find_room(state, "root", now_us).left for now_us in (10, 50, 100)]
        assert lefts == {"paused": [6, 6, 10], "narrowed": [8, 6, 10], "narrowed for good": [8, 8, 10]}[name]
    assert tree_changes.revoke_grant(state, ORGANIZATION, "a", 60) is None
    assert find_room(state, "root", 60).left == 10


def test_a_limit_keeps_a_bounded_number_of_floors() -> None:
    state = State()
    give(state, "root", None, build_limit(1000))
    for number in range(MAX_FLOORS):
        assert give(state, f"g{number}", "root", build_limit(5, 1)) is None
    assert give(state, "more", "root", build_limit(5, 1)) == f"tokens//60s: 'root' keeps {MAX_FLOORS} floors already"
    assert tree_changes.narrow_grant(state, ORGANIZATION, "g7", Change(limits=(build_limit(5),)), 0) is None
    assert give(state, "more", "root", build_limit(5, 1)) is None


def test_a_floor_that_cannot_be_kept_has_no_effect_and_says_why() -> None:
    key = "billed/USD/86400s"
    reasons = list_reasons(list_decisions(
        (0, grant("p", "product", limits=[limit(10), limit(5, meter="notional", at_limit="warn")])),
        (0, grant("a", "a", parent="product", limits=[limit(8, floor=6)])),
        (0, grant("b", "b", parent="product", limits=[limit(8, floor=5)])),
        (0, grant("b2", "b2", parent="product", limits=[limit(8, floor=4)])),
        (0, grant("c", "c", parent="product", limits=[limit(5, meter="notional", floor=1)])),
        (0, grant("d", "d", parent="a", limits=[{"meter": "calls", "amount": 5, "floor": 1}])),
        (0, grant("e", "product", "grant.narrowed", limits=[limit(5)])),
        (0, grant("f", "a", "grant.narrowed", limits=[limit(8, floor=7)])),
        (0, grant("g", "a", "grant.narrowed", limits=[limit(8, floor=6)])),
        (0, grant("h", "a", "grant.extended", limits=[limit(8, floor=6, lend=1)])),
        (0, grant("i", "a", "grant.extended", limits=[limit(9, floor=7)])),
        (0, grant("j", "product", "grant.narrowed", limits=[limit(10, floor=1)])),
    ))  # fmt: skip
    assert reasons == [
        f"{key}: the floors of the grants below 'product' would be above its limit",
        "notional/USD/86400s: the limit of 'product' only warns, so it keeps no floor",
        "calls//total: 'a' has no such limit to keep a floor of",
        f"{key}: the floors of the grants below 'product' need more than that",
        f"{key}: the floor is above that of 'a': it would be wider, which grant.extended says",
        f"{key}: the floor is below what it has: it would be narrower, which grant.narrowed says",
        f"{key}: the floors of the grants below 'product' would be above its limit",
        f"{key}: the floor is above that of 'product': it would be wider, which grant.extended says",
    ]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"floor": 11}, "11 is above 10: give a lower floor"),
        ({"floor": 3, "lend": 4}, "4 is above 3: give less"),
        ({"lend": 1}, "1 is above 0: give less"),
    ],
)
def test_a_floor_is_a_part_of_its_limit(fields: dict[str, int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        grant("a", "a", parent="product", limits=[limit(10, **fields)])
    with pytest.raises(ValueError, match="name the parent"):
        grant("a", "a", limits=[limit(10, floor=1)])
