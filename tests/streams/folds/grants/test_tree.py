"""The law of the tree: whatever is granted, narrowed, paused, extended and revoked, no grant ever allows what one above
it denies, and a path allows what each of its grants allows by itself."""

import random

from streams.folds.grants import tree_changes
from streams.folds.grants.tree import Change, Grant, find_outside, load_grant, load_path, write_lists
from streams.folds.state import State

ORGANIZATION = "acme"
VALUES = {"models": ("large", "small"), "regions": ("eu", "us"), "purposes": ("production", "evaluation")}


def allows(grant: Grant, call: dict[str, str], time_us: int) -> bool:
    """Tell whether a grant's own records allow a call, in plain words."""
    postures = [posture for posture in grant.postures if time_us < posture.until_us]
    is_over = grant.revoked_us is not None and time_us >= grant.revoked_us
    is_over |= grant.expires_us is not None and time_us >= grant.expires_us
    if is_over or time_us < grant.starts_us or grant.is_paused or any(posture.is_paused for posture in postures):
        return False
    lists = [dict(grant.allow), *(dict(posture.allow) for posture in postures)]
    return all(call.get(dimension) in names for allow in lists for dimension, names in allow.items())


def draw_lists(draw: random.Random) -> dict[str, list[str]]:
    return {
        dimension: draw.sample(values, draw.randint(1, 2))
        for dimension, values in VALUES.items()
        if draw.random() < 0.3
    }


def draw_tree(draw: random.Random) -> tuple[State, list[str]]:
    """Draw a tree and 25 changes of it."""
    state, names = State(), list[str]()
    for now_us in range(0, 250, 10):
        name = draw.choice(names) if names and draw.random() < 0.6 else None
        if name is None:
            name, parent = f"g{now_us}", draw.choice([None, *names])
            expires_us = draw.choice((None, now_us + draw.randint(1, 200)))
            grant = Grant(
                name,
                parent,
                "team",
                name,
                write_lists(draw_lists(draw)),
                (),
                now_us + draw.choice((0, 0, 15)),
                expires_us,
            )
            if tree_changes.create_grant(state, ORGANIZATION, grant, now_us) is None:
                names.append(name)
            continue
        change = Change(write_lists(draw_lists(draw)), until_us=draw.choice((None, now_us + 30)), is_paused=None)
        match draw.choice(("narrow", "narrow", "pause", "extend", "revoke")):
            case "narrow":
                tree_changes.narrow_grant(state, ORGANIZATION, name, change, now_us)
            case "pause":
                tree_changes.narrow_grant(state, ORGANIZATION, name, change._replace(is_paused=True), now_us)
            case "extend":
                extension = change._replace(until_us=None, is_paused=False)
                tree_changes.extend_grant(state, ORGANIZATION, name, extension, now_us)
            case "revoke" if draw.random() < 0.3:
                tree_changes.revoke_grant(state, ORGANIZATION, name, now_us)
    return state, names


def test_no_grant_ever_allows_what_one_above_it_denies() -> None:
    allowed_count = 0
    for seed in range(1000):
        draw = random.Random(seed)
        state, names = draw_tree(draw)
        for _ in range(20):
            name, time_us = draw.choice(names), draw.randint(250, 300)
            call = {dimension: draw.choice(values) for dimension, values in VALUES.items() if draw.random() < 0.9}
            path = load_path(state, ORGANIZATION, name)
            is_allowed = find_outside(path, call, time_us) is None
            grants = [load_grant(state, ORGANIZATION, grant.name) for grant in path]
            assert is_allowed == all(grant is not None and allows(grant, call, time_us) for grant in grants), seed
            for above in range(len(path)):
                assert not is_allowed or find_outside(path[above:], call, time_us) is None, seed
            allowed_count += is_allowed
    assert 2_000 < allowed_count < 15_000, "both answers were tried"
