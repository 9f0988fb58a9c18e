"""The place of each call in its tree: links by the names that calls say, circles, depths and sums by currency."""

from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from warehouse.call_links import Link, Version, cut_circles, find_links, place_calls, write_rows


def make(name: str, offset: int = 0, **fields: Any) -> Version:
    """Return a version of a call; its key is its name, and it came at its offset unless told."""
    source, _, id = name.rpartition("/")
    known: dict[str, Any] = {
        "organization": "acme", "call_source": source or "app", "call_id": id, "log_offset": offset, "event_index": 0,
        "call_key": name, "occurred_us": offset, "root_call": "", "parent_call": "", "currency": "USD", "calls": 1,
        "tokens": 1, "list_cost": 1, "billed_cost": 1,
    }  # fmt: skip
    return Version(**known | fields)


def test_a_call_hangs_below_the_nearest_call_that_is_known() -> None:
    """A parent of the same source comes first, one of another organization never, one that came later counts too. Where
    it is not known the call hangs below the root that it names, else below the earliest call of the same root."""
    calls = [
        make("r", 1),
        make("a", 2, root_call="r", parent_call="late"),
        make("late", 9, root_call="r", parent_call="r"),
        make("gateway/late", 3),
        make("lost", 4, root_call="r", parent_call="never"),
        make("s2", 5, root_call="trace", parent_call="span", occurred_us=4),
        make("s1", 6, call_id="trace:s1", root_call="trace", parent_call="other", occurred_us=3),
        make("s3", 7, root_call="trace", parent_call="s1"),
        make("own", 8, root_call="own", parent_call="own"),
        make("alone", 10),
        make("x", 1, organization="other", parent_call="r"),
    ]
    assert find_links(calls) == {
        "r": Link("", "", False),
        "a": Link("late", "parent", False),
        "late": Link("r", "parent", False),
        "gateway/late": Link("", "", False),
        "lost": Link("r", "root", True),
        "s1": Link("", "", True),
        "s2": Link("s1", "trace", True),
        "s3": Link("s1", "parent", False),
        "own": Link("", "", True),
        "alone": Link("", "", False),
        "x": Link("", "", True),
    }


def test_the_earliest_of_a_circle_is_its_root() -> None:
    """What hangs below a circle keeps its link, also where it is earlier than the circle."""
    links = {"a": "b", "b": "c", "c": "a", "d": "c", "r": "", "s": "r"}
    times_us = {"a": 3, "b": 2, "c": 4, "d": 1, "r": 1, "s": 1}
    cut = cut_circles({key: Link(above, "parent", False) for key, above in links.items()}, times_us)
    assert {key: link.above_key for key, link in cut.items()} == links | {"b": ""}
    assert [key for key, link in cut.items() if link.linked_by == "circle"] == ["b"]


def test_a_long_chain_is_cut_into_trees_of_one_component() -> None:
    calls = [make(f"{number:05}", number, parent_call=f"{number - 1:05}") for number in range(10_000)]
    steps = place_calls(calls)
    assert {step.component_key for step in steps.values()} == {"00000"}
    assert max(step.depth for step in steps.values()) < 2 * 4096
    roots = {key: step for key, step in steps.items() if key == step.tree_key}
    assert len(roots) > 1 and all(step.link.linked_by == "circle" for key, step in roots.items() if key != "00000")
    assert sum(step.subtrees[0].calls for step in roots.values()) == len(calls)


def test_a_step_has_the_sums_of_all_below_it_by_currency() -> None:
    """A call without a currency counts in the first one of its tree. A call that was reversed adds nothing, and holds
    what is below it; what is not priced has no cost."""
    nothing = {"list_cost": None, "billed_cost": None}
    steps = place_calls([
        make("r", list_cost=1, billed_cost=1),
        make("a", 1, parent_call="r", calls=0, tokens=0, list_cost=0, billed_cost=0),
        make("b", 2, parent_call="a", currency="EUR", tokens=10, list_cost=5, billed_cost=5),
        make("c", 3, parent_call="b", calls=2, tokens=100, list_cost=7, billed_cost=0),
        make("n", 4, parent_call="c", currency="", tokens=3, **nothing),
        make("u", 5, currency="", tokens=3, **nothing),
        make("v", 6, parent_call="u", currency="", tokens=4, **nothing),
    ])  # fmt: skip
    assert {key: [tuple(sums) for sums in step.subtrees] for key, step in steps.items()} == {
        "r": [("EUR", False, 2, 13, 5, 5), ("USD", True, 3, 101, 8, 1)],
        "a": [("EUR", False, 2, 13, 5, 5), ("USD", True, 2, 100, 7, 0)],
        "b": [("EUR", True, 2, 13, 5, 5), ("USD", False, 2, 100, 7, 0)],
        "c": [("EUR", False, 1, 3, None, None), ("USD", True, 2, 100, 7, 0)],
        "n": [("EUR", True, 1, 3, None, None), ("USD", False, 0, 0, None, None)],
        "u": [("", True, 2, 7, None, None)],
        "v": [("", True, 1, 4, None, None)],
    }
    assert [step.depth for step in steps.values()] == [0, 1, 2, 3, 4, 0, 1]


def test_the_last_version_stands_for_all_versions_of_a_call() -> None:
    former = make("old", 1, call_id="a", calls=0, tokens=0, list_cost=0, billed_cost=None)
    steps = place_calls([former, make("new", 2, call_id="a", parent_call="r", list_cost=None), make("r", 3)])
    assert steps.keys() == {"new", "r"}
    assert steps["new"].former_keys == ["old"] and steps["new"].subtrees[0].list_cost == 0
    assert list(write_rows("new", steps["new"]))[1] == {"call_key": "old", "component_key": "r"}


NAMES = st.sampled_from(["", *"abcdefg"])
CALLS = st.lists(st.tuples(st.sampled_from("abcdefg"), NAMES, NAMES, st.integers(0, 5)), max_size=12)


@settings(max_examples=300, deadline=None)
@given(calls=CALLS)
def test_each_call_is_in_one_tree_and_sums_add_up(calls: list[tuple[str, str, str, int]]) -> None:
    versions = [
        make(f"s{number}/{id}", number, parent_call=parent, root_call=root, occurred_us=time_us, billed_cost=number)
        for number, (id, parent, root, time_us) in enumerate(calls)
    ]
    steps = place_calls(versions)
    assert steps == place_calls(reversed(versions)), "the order of rows means nothing"
    whole = Counter[str]()
    for version in versions:
        step = steps[version.call_key]
        root = steps[step.tree_key]
        whole[step.tree_key] += version.billed_cost or 0
        assert root.link.above_key == "" and root.depth == 0 and root.component_key == step.component_key
        if above := step.link.above_key:
            assert step.depth == steps[above].depth + 1 and step.tree_key == steps[above].tree_key
    assert {key: steps[key].subtrees[0].billed_cost for key in whole} == whole


@settings(max_examples=300, deadline=None)
@given(calls=CALLS, end=st.integers(0, 12))
def test_components_that_share_no_name_with_new_calls_stay_as_they_are(
    calls: list[tuple[str, str, str, int]], end: int
) -> None:
    """What a build leaves out: the old components of which no call names, or is named by, a new one."""
    versions = [
        make(f"s{number}/{id}", number, parent_call=parent, root_call=root, occurred_us=time_us)
        for number, (id, parent, root, time_us) in enumerate(calls)
    ]
    old, new = place_calls(versions[:end]), versions[end:]
    names = {name for call in new for name in (call.call_id, call.root_call, call.parent_call, _name_span(call))} - {""}
    ids = {call.call_id for call in new}
    roots = ids | {call.root_call for call in new} - {""}
    touched = {
        old[call.call_key].component_key
        for call in versions[:end]
        if call.call_id in names or call.root_call in roots or call.parent_call in ids or _name_span(call) in ids
    }
    built = place_calls([call for call in versions[:end] if old[call.call_key].component_key in touched] + new)
    assert {key: step for key, step in old.items() if step.component_key not in touched} | built == place_calls(
        versions
    )


def _name_span(call: Version) -> str:
    return f"{call.root_call}:{call.parent_call}" if call.root_call and call.parent_call else ""
