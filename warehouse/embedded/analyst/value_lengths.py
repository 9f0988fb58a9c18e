"""Estimate the length of values that a statement searches again and again (pure).

The engine checks the time between blocks of rows, not within one. A function that searches a text or an array takes
longer the longer that is, for each row of a block and each element of a lambda. A value of a table is short, and copies
of it count against the memory. But a value that the statement makes, and that is the same for all rows
(``has(range(1000000), x)``), is held once and searched each time: hours, for a block. So the length that such a value
may have is estimated from the tree; ``name_definitions.py`` finds what its names stand for. Lengths are upper estimates
in characters or elements, and columns of tables count as short.
"""

import tomllib
from collections.abc import Iterator
from math import prod
from typing import Any, NamedTuple

from warehouse.embedded.analyst.name_definitions import Definitions, gather_definitions, group_names
from warehouse.embedded.analyst.syntax_tree import QUERIES, Node, list_arguments, list_selected, walk_mappings
from warehouse.embedded.analyst.verdicts import FOLDER, HIGHER_ORDER, read_verdicts, split_names
from warehouse.embedded.users import ALLOWANCES, ANALYST

COLUMN_LENGTH = 16
"""The length of a value of a table, or of a number."""

MAX_RANGE_ELEMENTS = 200_000
"""The elements that ``range`` may make for a block of rows; the setting ``function_range_max_elements_in_block``."""

MAX_PARAMETER_LENGTH = ALLOWANCES[ANALYST].max_body_bytes
"""The length of a parameter: a request has no more."""

MAX_SEARCHED = MAX_PARAMETER_LENGTH
"""The length that is searched once for each row of a block (``max_block_size``, 1,024): some seconds at most."""

MAX_SEARCHED_IN_LAMBDA = 2_000
"""The length that is searched once for each element of an array."""

MAX_SEARCHED_REPEATEDLY = 2_000
"""The length that a regular expression may search from each of its characters, which is quadratic."""

MAX_LAMBDA_CALLS = 100
"""Calls of functions in a lambda: they all run before the engine checks the time."""

MAX_COMPARED = 1 << 26
"""The product of the lengths of a text and of a text searched in it: equal letters take so many steps."""

UNBOUNDED = 1 << 62


class Search(NamedTuple):
    """A function that searches its arguments, and how: ``once``; ``compared``, each place of a text with all of
    another; or ``repeated``, from each place anew."""

    because: str
    manner: str


def _read_lengths() -> tuple[dict[str, Search], dict[str, int]]:
    document = tomllib.loads((FOLDER / "lengths.toml").read_text())
    searches = {
        name.lower(): Search(group["because"], group["limit"])
        for group in document["search"]
        for name in split_names(group["names"])
    }
    factors = {name.lower(): group["times"] for group in document["make"] for name in split_names(group["names"])}
    return searches, factors


SEARCHES, _FACTORS = _read_lengths()
_FUNCTIONS = {name.lower(): group for name, group in read_verdicts("functions").allowed.items()}
_HIGHER_ORDER = frozenset(name for name, group in _FUNCTIONS.items() if group == HIGHER_ORDER)
_SIZES = {
    "repeat": 1, "space": 0, "arraywithconstant": 0, "arrayresize": 1, "timeslots": 1, "leftpad": 1, "leftpadutf8": 1,
    "lpad": 1, "rightpad": 1, "rightpadutf8": 1, "rpad": 1, "tofixedstring": 1,
}  # fmt: skip
"""Functions whose result is as long as an argument says, with the index of the argument."""

_FIRST = frozenset((
    "arrayelement", "arrayelementornull", "arrayslice", "left", "leftutf8", "mid", "right", "rightutf8", "substr",
    "substring", "substringutf8", "tupleelement",
))  # fmt: skip
"""The functions that return a part of their first argument."""

_PRODUCTS = frozenset((
    "array_to_string", "arraystringconcat", "concat_ws", "concatwithseparator", "format", "regexp_replace", "replace",
    "replaceall", "replaceregexpall",
))  # fmt: skip
"""The functions that may put one of their arguments between all characters or elements of another."""

_COLLECTING = ("group", "array_", "string_agg", "topk", "approx_top", "histogram", "sparkbar")
_COLLECTING_PARTS = ("map", "foreach", "array")
"""Beginnings and parts of the names of aggregates that collect as many elements as there are rows."""


def find_long_search(tree: Any) -> str | None:
    """Return the reason why a statement may run past every limit of time within one block; None where there is none.
    RecursionError where it is nested too deep to tell."""
    lengths = _Lengths(tree)
    for node, in_lambda in _calls(tree):
        if node.get("is_lambda_function") and _count_calls(node) > MAX_LAMBDA_CALLS:
            return f"a lambda calls more than {MAX_LAMBDA_CALLS} functions: write it as several"
        search = SEARCHES.get(str(node["name"]).lower())
        if search is not None and (problem := _find_problem(search, node, lengths, in_lambda)):
            return problem
    return None


def _find_problem(search: Search, node: Node, lengths: "_Lengths", in_lambda: bool) -> str | None:
    is_repeated = search.manner == "repeated"
    argument_lengths = sorted(
        (lengths.measure(argument, is_scalar=is_repeated) for argument in list_arguments(node)), reverse=True
    )
    longest, limit = (
        argument_lengths[0] if argument_lengths else 0,
        MAX_SEARCHED_REPEATEDLY if is_repeated else MAX_SEARCHED,
    )
    if in_lambda:
        limit = MAX_SEARCHED_IN_LAMBDA
    elif search.manner == "compared" and prod(argument_lengths[:2]) > MAX_COMPARED:
        limit = MAX_COMPARED // argument_lengths[1]
    if longest <= limit:
        return None
    length = f"may have {longest:,}" if longest < UNBOUNDED else "may have any number of"
    return (
        f"the function {node['name']} is given a value of the statement's own that {length} characters or elements, "
        f"and {search.because}: give it at most {limit:,}{' in a lambda' if in_lambda else ''}, a column of a table, "
        "or write IN (SELECT …)"
    )


def _calls(tree: Any) -> Iterator[tuple[Node, bool]]:
    """Yield every call, and whether it stands in a lambda."""
    pending: list[tuple[Any, bool]] = [(tree, False)]
    while pending:
        value, in_lambda = pending.pop()
        if isinstance(value, list):
            pending += [(item, in_lambda) for item in value]
        elif isinstance(value, dict) and value.get("type") != "Literal":
            if value.get("type") == "Function":
                yield value, in_lambda
            inner = in_lambda or bool(value.get("is_lambda_function"))
            pending += [(child, inner) for child in value.values()]


def _count_calls(node: Node) -> int:
    return sum(1 for _ in _calls(node))


class _Lengths:
    """The lengths of a statement's expressions. A name stands within itself (``lower(model) AS model``) where it is
    a column of another select: as often as it has definitions, or more in a WITH RECURSIVE."""

    def __init__(self, tree: Any) -> None:
        definitions = gather_definitions(tree)
        groups = group_names(definitions)
        is_recursive = any(node.get("recursive_with") for node in walk_mappings(tree))
        self._lambda_names = {
            name.lower() for name, nodes in definitions.items() if any(node.get("is_lambda_function") for node in nodes)
        }
        self._of_names: dict[tuple[str, bool], int] = {}
        self._of_nodes: dict[tuple[int, bool], int] | None = None
        for is_scalar in (True, False):
            for names, is_cyclic in groups:
                rounds = sum(len(definitions[name]) for name in names)
                if is_recursive:
                    rounds = max(rounds, 40)  # more than it takes to be beyond every limit, where it grows
                elif not is_cyclic:
                    rounds = 1
                self._measure_names(names, definitions, is_scalar, rounds)
        self._of_nodes = {}

    def measure(self, node: Node, *, is_scalar: bool = False) -> int:
        """Return the greatest length that an expression may have. ``is_scalar``: where it counts how long one
        aggregate may be; a column of them counts against the memory."""
        if self._of_nodes is None:
            return self._measure(node, is_scalar)
        key = (id(node), is_scalar)
        if key not in self._of_nodes:
            self._of_nodes[key] = self._measure(node, is_scalar)
        return self._of_nodes[key]

    def _measure(self, node: Node, is_scalar: bool) -> int:
        match node["type"]:
            case "Literal":
                return _literal_length(node["value"])
            case "QueryParameter":
                return MAX_PARAMETER_LENGTH
            case "Identifier":
                return self._name_length(node, is_scalar)
            case "Function":
                return min(UNBOUNDED, self._call_length(node, is_scalar))
            case kind if kind in QUERIES:
                return max((self.measure(item, is_scalar=True) for item in list_selected(node)), default=0)
            case _:
                return UNBOUNDED  # as `*` and COLUMNS('…')

    def _measure_names(self, names: list[str], definitions: Definitions, is_scalar: bool, rounds: int) -> None:
        for _ in range(rounds):
            lengths = {
                name: max(self.measure(node, is_scalar=is_scalar) for node in definitions[name]) for name in names
            }
            changed = [name for name, length in lengths.items() if self._of_names.get((name, is_scalar), 0) < length]
            self._of_names |= {(name, is_scalar): lengths[name] for name in changed}
            if not changed:
                return

    def _name_length(self, node: Node, is_scalar: bool) -> int:
        name = str(node["name"])
        if "(" in name or "[" in name:  # the text of an expression that was given no other name
            return UNBOUNDED
        parts = (name, *node.get("name_parts", ()))
        return max(self._of_names.get((part, is_scalar), COLUMN_LENGTH) for part in parts)

    def _call_length(self, node: Node, is_scalar: bool) -> int:
        name, arguments = str(node["name"]).lower(), list_arguments(node)
        if name in self._lambda_names:  # WITH x -> … AS lower: the lambda is called, not the function
            return UNBOUNDED
        if is_scalar and name not in _FUNCTIONS and _is_collecting(name):
            return UNBOUNDED
        lengths = [self.measure(argument, is_scalar=is_scalar) for argument in arguments] or [COLUMN_LENGTH]
        if name == "range":
            return max((_read_size(argument, MAX_RANGE_ELEMENTS) for argument in arguments), default=0)
        if name in _SIZES and len(arguments) > _SIZES[name]:
            lengths[_SIZES[name]] = _read_size(arguments[_SIZES[name]], UNBOUNDED)
            return prod(lengths)
        if name == "lambda":
            return lengths[-1]
        if name in ("arraymap", "mapapply"):
            return prod(lengths)
        if name in _HIGHER_ORDER:
            return max(lengths)
        if name in _FIRST:
            return lengths[0]
        if name in _PRODUCTS:
            return prod(lengths)
        return sum(lengths) * _FACTORS.get(name, 1)


def _is_collecting(name: str) -> bool:
    return name.startswith(_COLLECTING) or any(part in name[3:] for part in _COLLECTING_PARTS)


def _read_size(node: Node, unknown: int) -> int:
    """Read the number that an argument is, or is at most (``least(…, 100)``); ``unknown`` where it may be any."""
    if node["type"] == "Function" and str(node["name"]).lower() == "least":
        return min((_read_size(argument, unknown) for argument in list_arguments(node)), default=unknown)
    value = node.get("value", {}).get("value") if node["type"] == "Literal" else None
    try:
        return min(abs(int(value)), unknown) if value is not None else unknown
    except (TypeError, ValueError):
        return unknown


def _literal_length(value: Any) -> int:
    """Count the characters of a literal, with those of its elements."""
    length = 0
    pending: list[Any] = [value]
    while pending:
        part = pending.pop()
        inner = part.get("value") if isinstance(part, dict) else part
        if isinstance(inner, list):
            pending += inner
        elif isinstance(inner, dict):
            pending += inner.values()
        else:
            length += len(inner) if isinstance(inner, str) else 4
    return length
