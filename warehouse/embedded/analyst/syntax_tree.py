"""Read the syntax tree that the engine makes of a statement (pure)."""

from collections.abc import Iterator, Mapping
from typing import Any

Node = Mapping[str, Any]

QUERIES = frozenset(("Subquery", "SelectWithUnionQuery", "SelectIntersectExceptQuery", "SelectQuery"))


def list_arguments(node: Node) -> list[Node]:
    """List the arguments of a call."""
    arguments: list[Node] = node.get("arguments", {}).get("children", [])
    return arguments


def list_selected(node: Node) -> list[Node]:
    """List the expressions that a query selects, those of each part of a UNION."""
    if node["type"] == "SelectQuery":
        expressions: list[Node] = node["select"]["children"]
        return expressions
    return [expression for query in list_queries(node) for expression in list_selected(query)]


def list_queries(node: Node) -> list[Node]:
    """List the queries that a subquery or a UNION consists of."""
    children = node["list_of_selects"]["children"] if "list_of_selects" in node else node.get("children", [])
    return [query for query in children if query["type"] in QUERIES]


def walk_mappings(tree: Any) -> Iterator[Node]:
    """Yield every mapping in a tree: the nodes, and the values in them."""
    pending: list[Any] = [tree]
    while pending:
        value = pending.pop()
        if isinstance(value, list):
            pending += value
        elif isinstance(value, dict):
            yield value
            pending += value.values()
