"""Anthropic's messages, also as Bedrock's and Vertex' bodies.

The input is without the cache, and thinking lies inside of the output. ``iterations`` are the runs of one message:
those that the totals hold, and those beside them, such as a compaction. Documentation: docs.claude.com/en/api/messages,
/en/docs/build-with-claude/compaction.
"""

from collections.abc import Iterable, Iterator
from itertools import combinations
from typing import NamedTuple

from tallystick.usage.base import Block, Context, Usage
from tallystick.usage.block import CountBlock
from tallystick.usage.form import Form
from tallystick.usage.reconciliation import BESIDE_OR_INSIDE, INSIDE, Input, Output, build_usage
from tallystick.usage.token_details import take_tool_searches, take_writes

MAX_ITERATIONS = 12
"""Iterations of which every choice is tried."""


class Counts(NamedTuple):
    """The counts of a message, or of one of its iterations."""

    input: int
    output: int
    cached: int
    write: int
    write_5m: int
    write_1h: int
    thinking: int

    def add(self, counts: "Counts") -> "Counts":
        """Return the sum of both, class by class."""
        return Counts(*(first + second for first, second in zip(self, counts, strict=True)))

    @property
    def totals(self) -> tuple[int, int, int, int]:
        """Return the totals by which iterations are compared: lifetimes and thinking may be missing in them."""
        return self.input, self.output, self.cached, self.write + self.write_5m + self.write_1h


def is_message(block: Block, context: Context) -> bool:
    return block.get("input_tokens") is not None or block.get("output_tokens") is not None


def read_message(block: CountBlock, context: Context) -> Usage:
    """Read a block of messages. What its iterations have beside its totals is added."""
    iterations = block.take_list("iterations")
    has_input, has_output = "input_tokens" in block, "output_tokens" in block
    counts = _take_counts(block)
    total = block.get_count("total_tokens")
    searches = take_tool_searches(block) or 0
    if not has_input or not has_output:  # a stream's last event may give the output alone
        input_total = sum(counts.totals) - counts.output if has_input else None
        return Usage((), input_total, counts.output if has_output else None, total)
    extra = _sum_beside(counts, iterations, context)
    if extra is None:
        return Usage((), sum(counts.totals) - counts.output, counts.output, total)
    if extra != ZERO:
        total = None if total is None else total + sum(extra.totals)
        counts = counts.add(extra)
    return build_usage(
        Input(counts.input, counts.cached, counts.write, counts.write_5m, counts.write_1h),
        Output(counts.output, counts.thinking), total,
        cache=BESIDE_OR_INSIDE, reasoning=INSIDE, quantities={"web_searches": searches},
    )  # fmt: skip


ZERO = Counts(0, 0, 0, 0, 0, 0, 0)


def _take_counts(block: CountBlock) -> Counts:
    details = block.take_part("output_tokens_details")
    has_no_writes = block.has_zero("cache_creation_input_tokens")
    write, write_5m, write_1h = take_writes(block, block)
    if has_no_writes and write_5m + write_1h:
        block.spoil()
    return Counts(
        block.take("input_tokens"), block.take("output_tokens"), block.take("cache_read_input_tokens"), write, write_5m,
        write_1h, details.take("thinking_tokens", "reasoning_tokens"),
    )  # fmt: skip


def _sum_beside(message: Counts, blocks: list[CountBlock], context: Context) -> Counts | None:
    """Return what the iterations count beside the message's totals; None where no choice of them makes the totals, or
    another model ran one of those beside."""
    if not blocks:
        return ZERO
    kinds = [block.take_word("type") for block in blocks]
    models = [block.take_word("model") for block in blocks]
    iterations = [_take_counts(block) for block in blocks]
    size = 4 if any(counts.totals[2:] != (0, 0) for counts in iterations) else 2  # some leave their cache out
    for inside in _choose_iterations(kinds):
        if _add_all(iterations[index] for index in inside).totals[:size] == message.totals[:size]:
            outside = [index for index in range(len(blocks)) if index not in inside]
            if any((model := models[index]) is not None and not context.has_model(model) for index in outside):
                return None
            return _add_all(iterations[index] for index in outside)
    return None


def _choose_iterations(kinds: list[str | None]) -> Iterator[tuple[int, ...]]:
    """Yield the iterations that the totals may hold, by index: all, all but those of one kind, every other choice of
    few, or one. Whichever choice makes the totals, the rest is beside them, so their sum is the same."""
    indexes = range(len(kinds))
    yield tuple(indexes)
    for kind in dict.fromkeys(kinds):
        yield tuple(index for index in indexes if kinds[index] != kind)
    sizes = range(len(kinds) - 1, 0, -1) if len(kinds) <= MAX_ITERATIONS else (1,)
    for size in sizes:
        yield from combinations(indexes, size)


def _add_all(parts: Iterable[Counts]) -> Counts:
    total = ZERO
    for part in parts:
        total = total.add(part)
    return total


FORM = Form("anthropic_messages", is_message, read_message, frozenset(("input_tokens", "output_tokens")))
