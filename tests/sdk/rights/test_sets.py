"""Sets of inferences, compared with the plain enumeration of all calls of a small world."""

import itertools
import json
import random

import cedarpy

from tallystick.rights.sets import ANY, Call, InferenceSet, Values, find_witness

WORLD = {
    "models": ("gpt-5", "claude-opus-5", "mistral", "never named"),
    "regions": ("eu", "us", "never named"),
    "purposes": ("production", "evaluation", "never named"),
}
CALLS: list[Call] = [
    dict(zip(WORLD, values, strict=True)) for values in itertools.product(*((*names, None) for names in WORLD.values()))
]
SEEDS = range(1000)


def draw_set(random: random.Random) -> InferenceSet:
    lists = {}
    for dimension, names in WORLD.items():
        if random.random() < 0.6:
            lists[dimension] = random.sample(names[:-1], random.randint(0, len(names) - 1))
    return InferenceSet.build(lists)


def enumerate_calls(*sets: InferenceSet) -> set[int]:
    """Return the calls of a union, by trying each call on each list."""
    return {
        number
        for number, call in enumerate(CALLS)
        if any(all((call[dimension] in values.names) != values.is_complement for dimension, values in box.values)
               for box in sets)
    }  # fmt: skip


def test_the_algebra_of_sets_equals_the_enumeration_of_all_calls() -> None:
    for seed in SEEDS:
        draw = random.Random(seed)
        a, b = draw_set(draw), draw_set(draw)
        calls_a, calls_b = enumerate_calls(a), enumerate_calls(b)
        assert {number for number, call in enumerate(CALLS) if a.contains(call)} == calls_a, seed
        assert enumerate_calls(a.intersect(b)) == calls_a & calls_b, seed
        assert a.is_empty() == (not calls_a), seed
        assert a.is_subset(b) == (calls_a <= calls_b), seed
        boxes = list(a.subtract(b))
        assert enumerate_calls(*boxes) == calls_a - calls_b, seed
        assert sum(len(enumerate_calls(box)) for box in boxes) == len(calls_a - calls_b), (seed, "boxes overlap")


def test_a_witness_is_found_where_a_union_exceeds_another_and_only_there() -> None:
    for seed in SEEDS:
        draw = random.Random(seed)
        inner = [draw_set(draw) for _ in range(draw.randint(0, 3))]
        outer = [draw_set(draw) for _ in range(draw.randint(0, 4))]
        witness = find_witness(inner, outer)
        assert (witness is None) == (enumerate_calls(*inner) <= enumerate_calls(*outer)), seed
        if witness is not None:
            assert any(box.contains(witness) for box in inner), seed
            assert not any(box.contains(witness) for box in outer), seed


def write_policy(box: InferenceSet) -> str:
    """Write a set of lists as a policy of Cedar."""
    conditions = [
        f"context has {dimension} && [{', '.join(map(json.dumps, sorted(values.names)))}].contains(context.{dimension})"
        for dimension, values in box.values
    ]
    return f"permit(principal, action, resource) when {{ {' && '.join(conditions) or 'true'} }};"


def test_cedar_permits_the_calls_of_a_union_and_no_others() -> None:
    for seed in range(50):
        draw = random.Random(seed)
        boxes = [draw_set(draw) for _ in range(draw.randint(1, 3))]
        requests = [
            {
                "principal": 'User::"ann"', "action": 'Action::"infer"', "resource": 'Model::"any"',
                "context": {dimension: value for dimension, value in call.items() if value is not None},
            }
            for call in CALLS
        ]  # fmt: skip
        answers = cedarpy.is_authorized_batch(requests, "\n".join(map(write_policy, boxes)), [])
        permitted = {number for number, answer in enumerate(answers) if answer.allowed}
        assert {number for number, call in enumerate(CALLS) if any(box.contains(call) for box in boxes)} == permitted


def test_what_a_call_does_not_say_lies_in_no_list() -> None:
    assert not InferenceSet.build({"regions": ["eu"]}).contains({"models": "gpt-5"})
    assert InferenceSet().contains({})
    assert InferenceSet.build({"models": ["GPT-5"]}).contains({"models": "gpt-5"})
    assert InferenceSet.build({"models": ["gpt-5"], "regions": ["eu"]}).find_outside({"models": "gpt-5"}) == "regions"


def test_a_value_that_no_list_has_is_always_found() -> None:
    assert ANY.subtract(Values(frozenset({"other", "other-2"}))).pick() == "other-3"
