"""The outline: what is drawn, what is folded, and that both add up to everything."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from dashboards.pages.trees.outline import MAX_ALIKE, Group, Line, Outline, Step, Totals, add_amounts

START = datetime(2026, 1, 1, tzinfo=UTC)


def build_step(key: str, above_key: str = "", cost: str = "1", at_s: float = 0, **fields: object) -> Step:
    values: dict[str, object] = {
        "key": key, "above_key": above_key, "linked_by": "parent" if above_key else "", "is_orphan": False,
        "occurred_at": START + timedelta(seconds=at_s), "latency_ms": 500, "organization": "acme",
        "event_source": "app", "event_id": key, "session": "s", "agent": "", "tool": key, "operation": "",
        "provider": "", "model": "m", "status": "ok", "is_failed": False, "is_retry": False, "is_fallback": False,
        "is_cache_hit": False, "corrected_by": "", "pricing": "priced", "calls": 1, "tokens": 10, "cached_tokens": 0,
        "cost": {"USD": Decimal(cost)}, "saved": {}, "below_cost": {}, "below_calls": 0, "below_tokens": 0,
    }  # fmt: skip
    return Step(**values | fields)  # type: ignore[arg-type]


def arrange(*steps: Step) -> Outline:
    return Outline(steps, "USD").sum_below()


def sum_all(outline: Outline) -> Totals:
    steps = outline.steps.values()
    return Totals(sum(step.calls for step in steps), add_amounts(*(step.cost for step in steps)))


def name_lines(lines: list[Line]) -> list[str]:
    names = []
    for line in lines:
        node = line.node
        name = f"{line.folded_calls} more" if node is None else node.key
        names.append(
            "  " * line.depth + (f"{len(node.steps)} of {node.steps[0].title}" if isinstance(node, Group) else name)
        )
    return names


def test_a_small_tree_is_drawn_whole_in_order_of_time() -> None:
    outline = arrange(
        build_step("root"), build_step("late", "root", at_s=9), build_step("early", "root", at_s=1),
        build_step("leaf", "early", at_s=2),
    )  # fmt: skip
    assert name_lines(outline.fold("", sum_all(outline), 40)) == ["root", "  early", "    leaf", "  late"]
    assert outline.steps["early"].below_cost == {"USD": Decimal(2)} and outline.steps["root"].below_calls == 4


def test_the_most_expensive_are_drawn_and_the_rest_is_a_line_with_its_sum() -> None:
    outline = arrange(
        build_step("root", cost="0"), build_step("a", "root", "5", 1), build_step("b", "root", "1", 2),
        build_step("c", "root", "3", 3), build_step("d", "b", "1.5", 4),
    )  # fmt: skip
    lines = outline.fold("", sum_all(outline), 3)
    assert name_lines(lines) == ["root", "  a", "  c", "  2 more"]
    assert lines[-1].folded_cost == {"USD": Decimal("2.5")} and lines[-1].parent_key == "root"


def test_a_step_of_which_nothing_below_is_drawn_says_so_itself() -> None:
    outline = arrange(build_step("root", cost="9"), build_step("a", "root", "1", 1), build_step("b", "root", "1", 2))
    assert name_lines(outline.fold("", sum_all(outline), 1)) == ["root"]


def test_many_of_a_kind_are_a_group_beside_the_most_expensive() -> None:
    outline = arrange(
        build_step("root", cost="0"),
        *(
            build_step(f"r{number}", "root", str(number), number, tool="read", is_failed=number == 3)
            for number in range(9)
        ),
        build_step("other", "root", "0.5", 20),
    )
    lines = outline.fold("", sum_all(outline), 40)
    assert name_lines(lines) == ["root", "  7 of read", "  r7", "  r8", "  other"]
    group = lines[1].node
    assert isinstance(group, Group) and group.cost == {"USD": Decimal(21)} and group.failed_count == 1
    few = arrange(build_step("root"), *(build_step(f"r{n}", "root", tool="read") for n in range(MAX_ALIKE)))
    assert len(few.fold("", sum_all(few), 40)) == MAX_ALIKE + 1


def test_a_step_can_be_shown_alone_with_all_below_it() -> None:
    outline = arrange(build_step("root"), build_step("a", "root"), build_step("b", "a"), build_step("c", "root"))
    assert name_lines(outline.fold("a", sum_all(outline), 40)) == ["a", "  b"]
    assert name_lines(outline.fold("no such step", sum_all(outline), 40))[0] == "root"


def test_steps_beyond_those_that_were_read_are_folded_too() -> None:
    outline = arrange(build_step("root"))
    lines = outline.fold("", Totals(5, {"USD": Decimal(3)}), 40)
    assert name_lines(lines) == ["root", "4 more"] and lines[1].folded_cost == {"USD": Decimal(2)}


def test_a_chain_of_thousands_is_no_recursion() -> None:
    steps = [build_step(f"{number:05}", f"{number - 1:05}" if number else "") for number in range(4_096)]
    outline = arrange(*steps)
    assert outline.steps["00000"].below_calls == 4_096
    assert [line.depth for line in outline.fold("", sum_all(outline), 5_000)] == list(range(4_096))


def test_currencies_are_summed_apart() -> None:
    outline = arrange(build_step("root"), build_step("e", "root")._replace(cost={"EUR": Decimal(2)}))
    assert outline.steps["root"].below_cost == {"USD": Decimal(1), "EUR": Decimal(2)}


def draw_steps(seed: int) -> Iterator[Step]:
    chance = random.Random(seed)
    for number in range(chance.randint(1, 120)):
        above = f"{chance.randrange(number):03}" if number and chance.random() < 0.9 else ""
        yield build_step(
            f"{number:03}", above, f"{chance.choice((0, 0, 1, chance.randrange(10**6)))}E-6", chance.uniform(0, 100),
            tool=chance.choice("abc"), calls=chance.choice((0, 1, 1, 7)),
        )  # fmt: skip


@pytest.mark.parametrize("seed", range(60))
def test_lines_add_up_to_everything_and_hang_below_lines(seed: int) -> None:
    outline = arrange(*draw_steps(seed))
    totals, max_lines = sum_all(outline), random.Random(seed).randint(1, 60)
    lines = outline.fold("", totals, max_lines)
    nodes = [line.node for line in lines if line.node is not None]
    assert len(nodes) <= max_lines, seed
    drawn = {node.key for node in nodes if isinstance(node, Step)}
    assert all(line.parent_key in drawn or not line.parent_key for line in lines), seed
    parts = [line.folded_cost for line in lines]
    parts += [node.below_cost if isinstance(node, Group) else node.cost for node in nodes]
    for step in (node for node in nodes if isinstance(node, Step)):
        if not any(line.parent_key == step.key for line in lines):  # folded into the step's own line
            parts.append({"USD": step.below_cost["USD"] - step.cost["USD"]})
    assert add_amounts(*parts)["USD"] == totals.cost["USD"], seed
