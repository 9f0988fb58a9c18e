"""Find out what each name in a statement may stand for, and which names are defined by one another (pure).

A name stands for every alias, column or parameter of a lambda that has this name anywhere in the statement.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from warehouse.embedded.analyst.syntax_tree import Node, list_arguments, list_queries, list_selected, walk_mappings

_COMBINATIONS = frozenset(("SelectWithUnionQuery", "SelectIntersectExceptQuery"))
_SINGLE = frozenset(("Literal", "QueryParameter", "Identifier", "Function", "Subquery"))
"""The nodes that are one column each, unlike ``*``."""

Definitions = Mapping[str, list[Node]]


class NameGroup(NamedTuple):
    """A name, or several that are defined by one another. ``is_cyclic``: a name stands in its own definition, directly
    or through others."""

    names: list[str]
    is_cyclic: bool


def gather_definitions(tree: Any) -> Definitions:
    """Gather what each name may stand for: aliases, columns that are renamed, parameters of lambdas."""
    definitions: dict[str, list[Node]] = defaultdict(list)
    pending: list[tuple[str, Any]] = [("", tree)]
    while pending:
        key, value = pending.pop()
        if isinstance(value, list):
            pending += [(key, item) for item in value]
        elif isinstance(value, dict) and "type" in value:
            if "alias" in value and value["type"] != "TableIdentifier" and key not in ("subquery", "table_function"):
                definitions[value["alias"]].append(value)
            _define_columns(value, definitions)
            if value["type"] != "Literal":
                pending += value.items()
    return definitions


def group_names(definitions: Definitions) -> list[NameGroup]:
    """Group the names that are defined by one another, each group after those that it needs (Kosaraju's algorithm)."""
    needs = {name: _gather_names(nodes) & definitions.keys() for name, nodes in definitions.items()}
    users: dict[str, set[str]] = {name: set() for name in needs}
    for name, needed_names in needs.items():
        for needed_name in needed_names:
            users[needed_name].add(name)
    order = [name for reached in _visit_all(needs, needs) for name in reached]
    return [
        NameGroup(names, is_cyclic=len(names) > 1 or names[0] in needs[names[0]])
        for names in reversed(_visit_all(users, reversed(order)))
    ]


def _define_columns(node: Node, definitions: dict[str, list[Node]]) -> None:
    columns = node.get("column_aliases") or node.get("aliases")
    if isinstance(columns, dict) and "subquery" in node:
        for column in columns.get("children", []):
            definitions[column["name"]] += list_selected(node["subquery"])
    if node["type"] in _COMBINATIONS:
        _define_combined(node, definitions)
    if node["type"] == "ColumnsApplyTransformer" and "lambda_arg" in node:
        definitions[str(node["lambda_arg"])].append({"type": "Asterisk"})
    if node["type"] == "Function":
        arguments = list_arguments(node)
        if node.get("is_lambda_function") and "alias" in node:  # it is called by that name, with anything
            for parameter in list_arguments(arguments[0]):
                definitions[parameter["name"]].append({"type": "Asterisk"})
        for function in arguments:
            if function.get("is_lambda_function"):
                for parameter in list_arguments(list_arguments(function)[0]):
                    definitions[parameter["name"]] += [array for array in arguments if array is not function]


def _define_combined(node: Node, definitions: dict[str, list[Node]]) -> None:
    """Define the columns of a UNION: they have the names of its first query, and the values of all."""
    first, *following = [list_selected(query) for query in list_queries(node)] or [[]]
    further_expressions = [expression for expressions in following for expression in expressions]
    if not further_expressions:
        return
    is_counted = all(expression["type"] in _SINGLE for expression in (*first, *further_expressions))
    for position, expression in enumerate(first):
        values = [item for expressions in following for item in expressions[position : position + 1]]
        names = (str(expression["alias"]),) if "alias" in expression else _list_names(expression)
        for name in names:
            definitions[name] += values if is_counted and values else further_expressions


def _list_names(node: Node) -> tuple[str, ...]:
    return (node["name"], *node.get("name_parts", ())) if node.get("type") == "Identifier" else ()


def _gather_names(expressions: list[Node]) -> set[str]:
    return {name for node in walk_mappings(expressions) for name in _list_names(node)}


def _visit_all(edges: Mapping[str, set[str]], names: Iterable[str]) -> list[list[str]]:
    """Visit every name, and list, for each that was not reached before, the names that it reaches."""
    visited: set[str] = set()
    return [_visit(edges, name, visited) for name in names if name not in visited]


def _visit(edges: Mapping[str, set[str]], name: str, visited: set[str]) -> list[str]:
    """Visit the names that a name reaches and that were not visited yet; each after those that it reaches."""
    order: list[str] = []
    visited.add(name)
    pending = [(name, iter(edges[name]))]
    while pending:
        current, targets = pending[-1]
        following = next((target for target in targets if target not in visited), None)
        if following is None:
            order.append(current)
            pending.pop()
        else:
            visited.add(following)
            pending.append((following, iter(edges[following])))
    return order
