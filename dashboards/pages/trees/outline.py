"""The outline of a call tree or a session (pure): its steps, the lines that fit a page, and what they fold away."""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

Amounts = Mapping[str, Decimal]
"""Amounts by currency; empty where nothing has a price. Currencies are never added up."""
MAX_ALIKE, TOP_ALIKE = 6, 2
"""Steps of one kind below the same step, at most; of more, so many that cost the most are lines, the others a group."""


class Step(NamedTuple):
    """A call, with what it cost itself, and with all below it."""

    key: str
    above_key: str
    linked_by: str
    is_orphan: bool
    occurred_at: datetime
    latency_ms: int | None
    organization: str
    event_source: str
    event_id: str
    session: str
    agent: str
    tool: str
    operation: str
    provider: str
    model: str
    status: str
    is_failed: bool
    is_retry: bool
    is_fallback: bool
    is_cache_hit: bool
    corrected_by: str
    pricing: str
    calls: int
    tokens: int
    cached_tokens: int
    cost: Amounts
    saved: Amounts
    below_cost: Amounts
    below_calls: int
    below_tokens: int

    @property
    def ended_at(self) -> datetime:
        """Return its time and its latency; its time alone where no latency is told."""
        return self.occurred_at + timedelta(milliseconds=self.latency_ms or 0)

    @property
    def title(self) -> str:
        """Return the tool that it calls, else the agent that makes it, its operation or its model."""
        return self.tool or self.agent or self.operation or self.model or "call"

    @property
    def detail(self) -> str:
        """Return its agent and its model, as far as the title does not say them."""
        return " · ".join(name for name in (self.agent, self.model) if name and name != self.title)


class Group(NamedTuple):
    """Steps of one kind below the same step, beside those of them that cost the most."""

    steps: tuple[Step, ...]

    @property
    def key(self) -> str:
        """Return the key of its first step; no other group has it."""
        return self.steps[0].key

    @property
    def occurred_at(self) -> datetime:
        """Return the time of its first step."""
        return self.steps[0].occurred_at

    @property
    def failed_count(self) -> int:
        """Return the number of its steps that failed."""
        return sum(step.is_failed for step in self.steps)

    @property
    def cost(self) -> dict[str, Decimal]:
        """Return what its steps cost themselves."""
        return add_amounts(*(step.cost for step in self.steps))

    @property
    def below_cost(self) -> dict[str, Decimal]:
        """Return what its steps cost with all below them."""
        return add_amounts(*(step.below_cost for step in self.steps))

    @property
    def below_calls(self) -> int:
        """Return the calls of its steps and of all below them."""
        return sum(step.below_calls for step in self.steps)

    @property
    def below_tokens(self) -> int:
        """Return the tokens of its steps and of all below them."""
        return sum(step.below_tokens for step in self.steps)


class Line(NamedTuple):
    """A line of an outline: a step, a group of them, or, with neither, what else is below ``parent_key``."""

    node: "Step | Group | None"
    depth: int
    parent_key: str
    folded_calls: int = 0
    folded_cost: Amounts = {}  # noqa: RUF012


class Totals(NamedTuple):
    """The sums that the lines of an outline add up to."""

    calls: int
    cost: Amounts


def add_amounts(*addends: Amounts) -> dict[str, Decimal]:
    """Add amounts up, each currency by itself."""
    sums: dict[str, Decimal] = {}
    for amounts in addends:
        for currency, amount in amounts.items():
            sums[currency] = sums.get(currency, Decimal(0)) + amount
    return sums


def subtract_amounts(total: Amounts, parts: Iterable[Amounts]) -> dict[str, Decimal]:
    """Subtract amounts from a total, each currency by itself; what is left of none is left out."""
    negatives = [{currency: -amount for currency, amount in part.items()} for part in parts]
    return {currency: amount for currency, amount in add_amounts(total, *negatives).items() if amount}


class Outline:
    """Steps by the step above them. Where that is not among them, a step stands at the top."""

    def __init__(self, steps: Iterable[Step], currency: str) -> None:
        """Arrange steps. ``currency`` is the one whose amounts say which step costs the most."""
        self.steps = {step.key: step for step in steps}
        self._currency = currency
        self._children: defaultdict[str, list[Step]] = defaultdict(list)
        for step in sorted(self.steps.values(), key=lambda step: (step.occurred_at, step.key)):
            self._children[step.above_key if step.above_key in self.steps else ""].append(step)

    def list_children(self, key: str) -> Sequence[Step]:
        """List the steps below one, in order of time; those at the top for the empty key."""
        return self._children.get(key, ())

    def list_below(self, key: str) -> list[Step]:
        """List a step and all below it, the parent before its children."""
        steps = [self.steps[key]] if key in self.steps else list(self.list_children(""))
        for step in steps:  # grows while it is read
            steps += self.list_children(step.key)
        return steps

    def sum_below(self) -> "Outline":
        """Return the outline with the sums below each step made of these steps alone."""
        sums: dict[str, tuple[dict[str, Decimal], int, int]] = {}
        for step in reversed(self.list_below("")):
            below = [sums[child.key] for child in self.list_children(step.key)]
            sums[step.key] = (
                add_amounts(step.cost, *(cost for cost, _, _ in below)),
                step.calls + sum(calls for _, calls, _ in below),
                step.tokens + sum(tokens for _, _, tokens in below),
            )
        steps = (
            step._replace(below_cost=cost, below_calls=calls, below_tokens=tokens)
            for step, (cost, calls, tokens) in ((self.steps[key], sums[key]) for key in sums)
        )
        return Outline(steps, self._currency)

    def fold(self, focus_key: str, totals: Totals, max_lines: int) -> list[Line]:
        """List the lines of the whole outline, or of a step and all below it (``focus_key``).

        So many are drawn that cost the most with all below them, so none is drawn without those above it. What is below
        a step and not drawn is folded: into the line of the step where nothing below it is drawn, else into a line of
        its own, last of the children. ``totals`` are the sums of everything, of which an outline may hold only the most
        expensive part.
        """
        tops: list[Step | Group] = [self.steps[focus_key]] if focus_key in self.steps else self._list_nodes("")
        drawn_keys = self._choose(tops, max_lines)
        lines = list(self._list_lines(tops, drawn_keys))
        if focus_key not in self.steps:
            lines += self._fold_rest("", 0, totals, tops, drawn_keys)
        return lines

    def _list_nodes(self, key: str) -> list[Step | Group]:
        """List what is below a step in order of time: of a kind with many steps, the most expensive and a group."""
        kinds: defaultdict[tuple[str, str], list[Step]] = defaultdict(list)
        for step in self.list_children(key):
            kinds[step.title, step.detail].append(step)
        nodes: list[Step | Group] = []
        for steps in kinds.values():
            if len(steps) <= MAX_ALIKE:
                nodes += steps
                continue
            top_keys = {step.key for step in heapq.nsmallest(TOP_ALIKE, steps, key=self._rank)}
            nodes += [step for step in steps if step.key in top_keys]
            nodes.append(Group(tuple(step for step in steps if step.key not in top_keys)))
        return sorted(nodes, key=lambda node: (node.occurred_at, node.key))

    def _choose(self, tops: Iterable[Step | Group], max_lines: int) -> set[str]:
        """Return the keys of what to draw: the most expensive of that whose parent is drawn, time and again."""
        heap = [(self._rank(node), node.key, node) for node in tops]
        heapq.heapify(heap)
        drawn_keys: set[str] = set()
        while heap and len(drawn_keys) < max_lines:
            _, key, node = heapq.heappop(heap)
            drawn_keys.add(key)
            for child in self._list_nodes(key) if isinstance(node, Step) else ():
                heapq.heappush(heap, (self._rank(child), child.key, child))
        return drawn_keys

    def _rank(self, node: Step | Group) -> tuple[Decimal, int, datetime]:
        return -node.below_cost.get(self._currency, Decimal(0)), -node.below_tokens, node.occurred_at

    def _list_lines(self, tops: Sequence[Step | Group], drawn_keys: set[str]) -> Iterator[Line]:
        """List the lines in order of the tree, without recursion: a chain may have thousands of steps."""
        stack: list[Line] = [Line(node, 0, "") for node in reversed(tops) if node.key in drawn_keys]
        while stack:
            line = stack.pop()
            yield line
            if not isinstance(line.node, Step):
                continue
            step, nodes = line.node, self._list_nodes(line.node.key)
            drawn_nodes = [node for node in nodes if node.key in drawn_keys]
            if drawn_nodes:  # else all below is folded into the step's own line
                below_totals = Totals(step.below_calls - step.calls, subtract_amounts(step.below_cost, [step.cost]))
                stack += self._fold_rest(step.key, line.depth + 1, below_totals, nodes, drawn_keys)
            stack += [Line(node, line.depth + 1, step.key) for node in reversed(drawn_nodes)]

    def _fold_rest(
        self, key: str, depth: int, totals: Totals, nodes: Sequence[Step | Group], drawn_keys: set[str]
    ) -> list[Line]:
        """Return the line of all below a step but what is drawn; none where that is nothing."""
        drawn_nodes = [node for node in nodes if node.key in drawn_keys]
        calls = totals.calls - sum(node.below_calls for node in drawn_nodes)
        cost = subtract_amounts(totals.cost, [node.below_cost for node in drawn_nodes])
        return [Line(None, depth, key, calls, cost)] if calls > 0 or len(drawn_nodes) < len(nodes) else []
