"""Call trees: the call above each call, its root, its depth, and the sums of all below it (pure).

``docs/attribution.md`` says what they mean. Amounts are integers of 10^-12.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ledger import money

ROUNDS = 12
"""Rounds in which the calls above are climbed: each knows twice as many as the one before. A chain of more than
2^12 = 4,096 calls is cut as a circle is."""

Name = tuple[str, str]
"""An organization, and a name in it."""


class Version(NamedTuple):
    """A version of a call: as it came, a revision or a replacement. Its source and id are those of the identity that
    it is in force for."""

    organization: str
    call_source: str
    call_id: str
    log_offset: int
    event_index: int
    call_key: str
    occurred_us: int
    root_call: str
    parent_call: str
    currency: str
    calls: int
    tokens: int
    list_cost: int | None
    billed_cost: int | None


class Node(NamedTuple):
    """A call: its last version, and the sums of all its versions, of which one at most is in force."""

    last: Version
    former_keys: Sequence[str]
    calls: int
    tokens: int
    list_cost: int | None
    billed_cost: int | None


class Link(NamedTuple):
    """The call above a call, empty of a root, and how it is found."""

    above_key: str
    linked_by: str
    is_orphan: bool


class Sums(NamedTuple):
    """Sums of a call and of all below it, of one currency. ``is_own`` where the call itself counts in it."""

    currency: str
    is_own: bool
    calls: int = 0
    tokens: int = 0
    list_cost: int | None = None
    billed_cost: int | None = None


class Step(NamedTuple):
    """The place of a call in its tree. ``component_key`` is the same for all calls that links join, cut or not, and
    ``former_keys`` are those of the versions before the last."""

    tree_key: str
    component_key: str
    link: Link
    depth: int
    subtrees: Sequence[Sums]
    former_keys: Sequence[str]


def place_calls(versions: Iterable[Version]) -> dict[str, Step]:
    """Return the place of each call, by the key of its last version. Calls that others name, or that share a name
    with others, must all be among them."""
    nodes = _find_nodes(versions)
    links = find_links([node.last for node in nodes.values()])
    tree_links = cut_circles(links, {key: node.last.occurred_us for key, node in nodes.items()})
    places = _find_places(tree_links)
    components = _find_components(links, places)
    subtrees = _sum_subtrees(nodes, tree_links, places)
    return {
        key: Step(tree_key, components[tree_key], tree_links[key], depth, subtrees[key], nodes[key].former_keys)
        for key, (tree_key, depth) in places.items()
    }


def _find_nodes(versions: Iterable[Version]) -> dict[str, Node]:
    identities: dict[tuple[str, str, str], list[Version]] = defaultdict(list)
    for version in versions:
        identities[version[:3]].append(version)
    nodes = {}
    for group in identities.values():
        last = max(group, key=_find_position)
        nodes[last.call_key] = Node(
            last,
            [version.call_key for version in group if version is not last],
            sum(version.calls for version in group),
            sum(version.tokens for version in group),
            _add(version.list_cost for version in group),
            _add(version.billed_cost for version in group),
        )
    return nodes


def _find_position(version: Version) -> tuple[int, int, str]:
    return version.log_offset, version.event_index, version.call_key


def _add(amounts: Iterable[int | None]) -> int | None:
    """Return the sum of what is known; None where nothing is."""
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if known else None


def find_links(calls: Sequence[Version]) -> dict[str, Link]:
    """Find the call above each: the one that it names as its parent, else the one that it names as the root, else the
    earliest call that names the same root. Links may go round in a circle."""
    named: dict[Name, list[Version]] = defaultdict(list)
    for call in sorted(calls, key=_find_position):
        named[call.organization, call.call_id].append(call)
    links = {}
    lost: dict[Name, list[Version]] = defaultdict(list)
    for call in calls:
        parent = _find_namesake(named, call, call.parent_call)
        if parent is None and call.root_call and call.parent_call:
            parent = _find_namesake(named, call, f"{call.root_call}:{call.parent_call}")
        root = _find_namesake(named, call, call.root_call) if parent is None else None
        above, linked_by = (parent, "parent") if parent else (root, "root") if root else (None, "")
        links[call.call_key] = Link(above.call_key if above else "", linked_by, bool(call.parent_call) and not parent)
        if above is None and call.root_call:
            lost[call.organization, call.root_call].append(call)
    for group in lost.values():
        earliest = min(group, key=lambda call: (call.occurred_us, _find_position(call)))
        for call in group:
            if call is not earliest:
                links[call.call_key] = links[call.call_key]._replace(above_key=earliest.call_key, linked_by="trace")
    return links


def _find_namesake(named: Mapping[Name, Sequence[Version]], claim: Version, name: str) -> Version | None:
    """Return the call with a name: of the same source first, else the first on the log; None where only the call
    itself has it."""
    if not name:
        return None
    others = [call for call in named.get((claim.organization, name), ()) if call is not claim]
    same_source = [call for call in others if call.call_source == claim.call_source]
    return next(iter(same_source or others), None)


def cut_circles(links: Mapping[str, Link], times_us: Mapping[str, int]) -> dict[str, Link]:
    """Make the earliest call of each circle a root. After all rounds only a call in a circle, or below one, has still
    one above it, and that one goes round the circle: what it has met is the whole of it."""
    above = {key: link.above_key for key, link in links.items() if link.above_key}
    earliest = {key: (times_us[key], key) for key in links}
    for _ in range(ROUNDS):
        met = {key: min(earliest[key], earliest[upper]) for key, upper in above.items()}
        above = {key: above[upper] for key, upper in above.items() if upper in above}
        earliest.update(met)
    cut_links = dict(links)
    for key in {earliest[upper][1] for upper in above.values()}:
        cut_links[key] = links[key]._replace(above_key="", linked_by="circle")
    return cut_links


def _find_places(links: Mapping[str, Link]) -> dict[str, tuple[str, int]]:
    """Return the root and the depth of each call."""
    places: dict[str, tuple[str, int]] = {}
    for key in links:
        way = []
        while key not in places and links[key].above_key:
            way.append(key)
            key = links[key].above_key
        root_key, depth = places.setdefault(key, (key, 0))
        for lower in reversed(way):
            depth += 1
            places[lower] = (root_key, depth)
    return places


def _find_components(links: Mapping[str, Link], places: Mapping[str, tuple[str, int]]) -> dict[str, str]:
    """Return the component of each tree: its own key, or that of the tree that its root was cut from."""
    components: dict[str, str] = {}
    for tree_key in {root_key for root_key, _ in places.values()}:
        way = [tree_key]
        while way[-1] not in components and (upper := links[way[-1]].above_key) and places[upper][0] not in way:
            way.append(places[upper][0])
        upper = links[way[-1]].above_key
        ring = way[way.index(places[upper][0]) :] if upper and way[-1] not in components else way[-1:]
        component = components.get(way[-1], min(ring))
        components.update(dict.fromkeys(way, component))
    return components


def _sum_subtrees(
    nodes: Mapping[str, Node], links: Mapping[str, Link], places: Mapping[str, tuple[str, int]]
) -> dict[str, list[Sums]]:
    """Return the sums of each call and of all below it, in each currency of its tree. A call without a currency counts
    in the first one."""
    currencies: dict[str, set[str]] = defaultdict(set)
    for key, (tree_key, _) in places.items():
        currencies[tree_key].add(nodes[key].last.currency)
    ordered = {key: sorted(names - {""}) or [""] for key, names in currencies.items()}
    subtrees = {}
    for key, node in nodes.items():
        names = ordered[places[key][0]]
        own = node.last.currency or names[0]
        subtrees[key] = [Sums(name, True, *node[2:]) if name == own else Sums(name, False) for name in names]
    for key in sorted(places, key=lambda key: places[key][1], reverse=True):
        if above_key := links[key].above_key:
            pairs = zip(subtrees[above_key], subtrees[key], strict=True)
            subtrees[above_key] = [_join(upper, lower) for upper, lower in pairs]
    return subtrees


def _join(upper: Sums, lower: Sums) -> Sums:
    return Sums(
        upper.currency,
        upper.is_own,
        upper.calls + lower.calls,
        upper.tokens + lower.tokens,
        _add((upper.list_cost, lower.list_cost)),
        _add((upper.billed_cost, lower.billed_cost)),
    )


def write_rows(call_key: str, step: Step) -> Iterator[dict[str, Any]]:
    """Write the rows of the table of places: the last version with its sums as lists, a value for each currency, and
    the versions before it."""
    yield {
        "call_key": call_key,
        "component_key": step.component_key,
        "is_last": 1,
        "tree_key": step.tree_key,
        "above_key": step.link.above_key,
        "linked_by": step.link.linked_by,
        "is_orphan": int(step.link.is_orphan),
        "depth": step.depth,
        "own_currency": next(sums.currency for sums in step.subtrees if sums.is_own),
        "subtree_currency": [sums.currency for sums in step.subtrees],
        "subtree_is_own": [int(sums.is_own) for sums in step.subtrees],
        "subtree_calls": [sums.calls for sums in step.subtrees],
        "subtree_tokens": [sums.tokens for sums in step.subtrees],
        "subtree_list_cost": [_write_amount(sums.list_cost) for sums in step.subtrees],
        "subtree_billed_cost": [_write_amount(sums.billed_cost) for sums in step.subtrees],
    }
    for key in step.former_keys:
        yield {"call_key": key, "component_key": step.component_key}


def _write_amount(amount: int | None) -> str | None:
    return None if amount is None else money.text(amount)
