"""Names are grouped as they are defined by one another."""

from warehouse.embedded.analyst.name_definitions import NameGroup, group_names
from warehouse.embedded.analyst.syntax_tree import Node


def _name(name: str) -> Node:
    return {"type": "Identifier", "name": name}


def test_a_name_comes_after_those_that_it_needs() -> None:
    definitions = {"c": [_name("b"), _name("a")], "a": [_name("model")], "b": [_name("a")]}
    assert group_names(definitions) == [NameGroup([name], is_cyclic=False) for name in ("a", "b", "c")]


def test_names_that_are_defined_by_one_another_are_a_group() -> None:
    definitions = {"user": [_name("a")], "a": [_name("b")], "b": [_name("a"), _name("root")], "root": []}
    root, cycle, user = group_names(definitions)
    assert (root, user) == (NameGroup(["root"], is_cyclic=False), NameGroup(["user"], is_cyclic=False))
    assert (sorted(cycle.names), cycle.is_cyclic) == (["a", "b"], True)


def test_a_name_within_itself_is_a_cycle() -> None:
    assert group_names({"model": [_name("model")]}) == [NameGroup(["model"], is_cyclic=True)]
