"""Laws of docs/rules.md, whatever stands on a log: order, time, reversals, restatements, and that nothing is lost."""

import json
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from itertools import chain, groupby
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as some

from ledger.log import Record
from ledger.log.topics import ENTRIES
from ledger.outcomes import OUTCOMES
from streams.replay import replay, replay_outcomes
from tests.rules.test_agree import (
    INSTANTS,
    Lines,
    calls,
    covered_calls,
    covered_steps,
    decisions,
    log,
    log_under_contracts,
    positions_by_audit,
    positions_by_folds,
    records,
)
from tests.rules.test_rules import BOOKS, CONTRACTS, DOCUMENTS, by_audit, by_folds
from tests.streams.build import START, control, record

SLOW = [HealthCheck.too_slow]
COSTS = ("list_cost", "contracted_cost", "effective_cost", "billed_cost")
LOGS = records.map(log) | decisions.map(log) | some.builds(log_under_contracts, covered_steps, some.integers(0, 2))
"""Lines of every kind; mostly holds and decisions about few events; commitments."""


def end_log(made: list[Record], *lines: bytes, after_s: float = 0, organization: str = "acme") -> list[Record]:
    last_s = made[-1].time_ms / 1000 - START.timestamp() if made else 0
    return [*made, record(len(made), *lines, at_s=last_s + after_s, organization=organization)]


def add_costs(sums: Counter[Any], key: Any, line: dict[str, Any], costs: Sequence[str] = COSTS) -> None:
    for part in line.get("lines", ()):
        for name in ("quantity", *costs):
            sums[key, part["class"], name] += Decimal(part[name] or 0)  # type: ignore[assignment]
        sums[key, part["class"], "unpriced"] += part["quantity"] if part["contracted_cost"] is None else 0
    sums[key, "unknown_tokens"] += line.get("unknown_tokens", 0)
    for name in ("greatest_unpriced_cost", "saved_cost"):
        sums[key, name] += Decimal(line.get(name) or 0)  # type: ignore[assignment]


@settings(max_examples=150, deadline=None, suppress_health_check=SLOW)
@given(LOGS)
def test_a_reversal_of_everything_is_zero(made: list[Record]) -> None:
    """Whatever was held, released, accepted, replaced, restated or covered by a commitment before."""
    reversals = [
        msgspec.json.encode({
            "source": "end", "id": f"{source}-{id}", "time": START.isoformat(), "type": "tallystick.correction.v1",
            "data": {"action": "reversal", "of": {"source": source, "id": id}, "reason": "r"},
        })
        for source, id in sorted({
            (line["source"], line["id"])
            for line in replay_outcomes(made, DOCUMENTS)
            if line["kind"] == "inference" and line["outcome"] in OUTCOMES
        })
    ]  # fmt: skip
    whole = end_log(end_log(made, *reversals), after_s=10**6)
    sums: Counter[Any] = Counter()
    for line in replay_outcomes(whole, DOCUMENTS):
        add_costs(sums, None, line)
    assert not any(sums.values()), sums


@settings(max_examples=150, deadline=None, suppress_health_check=SLOW)
@given(LOGS, some.integers(0, 12))
def test_what_is_written_never_changes(made: list[Record], length: int) -> None:
    """The entries, decisions and alerts of the beginning of a log are the first that the whole of it has."""
    first, whole = (replay(part, DOCUMENTS) for part in (made[:length], made))
    assert whole[: len(first)] == first


@settings(max_examples=150, deadline=None, suppress_health_check=SLOW)
@given(LOGS, some.integers(0, 3))
def test_every_fact_has_one_outcome_in_the_end(made: list[Record], refused: int) -> None:
    """received = accepted + rejected, and accepted = counted + duplicate + conflict + quarantined + held."""
    made = [part._replace(headers={**part.headers, "refused": str(refused)}) for part in made]
    whole = end_log(made, after_s=10**9)
    derived = (part.value.split(b"\n") for topic, part in replay(whole, DOCUMENTS) if topic is ENTRIES)
    lines = [*map(json.loads, chain.from_iterable(derived))]
    first_lines = {(line["offset"], line["event_index"]): line for line in lines if line["outcome"] in OUTCOMES}
    positions = {(part.offset, index) for part in whole if part.value for index in range(part.value.count(b"\n") + 1)}
    assert first_lines.keys() == positions, "a line of the log has one outcome"
    facts = {place: line for place, line in first_lines.items() if line["kind"] not in ("control", "tick")}
    totals = [line for line in lines if line["outcome"] == "record"]
    assert sum(line["received"] - line["refused"] for line in totals) == len(facts)
    assert sum(line["refused"] for line in totals) == refused * len(made)
    outcomes = {place: line["outcome"] for place, line in first_lines.items()}
    for line in lines:
        if line["outcome"] == "release":
            place = line["original_offset"], line["original_index"]
            assert outcomes[place] == line["reason"], "it leaves the outcome that it has, once"
            outcomes[place] = "counted"
    assert "held" not in outcomes.values(), "all of it is due"


def build_covered_step(id: str) -> tuple[Lines, Lines, int]:
    """Build a step with a call that uses two thirds of a commitment."""
    data = {"provider": "acme", "model": "lion", "tokens": {"input": 1_000_000}}
    event = {"source": "a", "id": id, "time": START.isoformat(), "type": "tallystick.inference.v1", "data": data}
    return [msgspec.json.encode(event)], [], 0


@settings(max_examples=250, deadline=None, suppress_health_check=SLOW)
@given(LOGS)
@example(log_under_contracts([build_covered_step("0"), build_covered_step("1")], 1))  # the one before prices is first
def test_restating_twice_changes_nothing(made: list[Record]) -> None:
    """Also where commitments cover calls, or a month was closed."""
    made = end_log(made, after_s=10**9)  # nothing is held any more
    end = len(made)
    for id in ("first", "second"):
        restatement = control(id, "price.restated", first_offset=0, end_offset=end)
        made = end_log(made, restatement, organization="_platform")
    assert by_folds(made, DOCUMENTS, but="nothing") == by_audit(made, DOCUMENTS, but="nothing")
    assert [line[2] for line in positions_by_folds(made) if line[0] == end + 1] == ["counted"]
    assert [line[2] for line in positions_by_audit(made) if line[0] == end + 1] == ["counted"]


times_s = some.sampled_from((*INSTANTS, -864_000, 1_000))
priced_calls = covered_calls | covered_calls | covered_calls | calls
versions = some.tuples(priced_calls, some.integers(0, 2), times_s)
histories = some.lists(
    some.builds(
        lambda first, others: [first, *others],
        versions | some.tuples(some.none()),
        some.lists(versions | some.integers(0, 3) | some.tuples(some.none() | priced_calls), max_size=3),
    ),
    min_size=2, max_size=5,
)  # fmt: skip
"""Histories of events: each a version (its fields, its revision, its time), a repeat of a line before, or a reversal or
replacement."""


def build_history(id: str, steps: list[Any]) -> Lines:
    """Build the lines of one event, in their order. A correction has an identity of its own that begins with the
    event's, and a time that is never held."""
    lines: Lines = []
    for number, step in enumerate(steps):
        if isinstance(step, int):
            lines += lines[step : step + 1]
            continue
        event: dict[str, Any] = {"source": "a", "id": id, "type": "tallystick.inference.v1"}
        if len(step) == 3:
            data, revision, at_s = step
            event["data"] = data | {"revision": revision}
        else:
            at_s = 0
            action = {"action": "reversal"} if step[0] is None else {"action": "replacement", "replacement": step[0]}
            event |= {"id": f"{id}-{number}", "type": "tallystick.correction.v1"}
            event["data"] = {"of": {"source": "a", "id": id}, "reason": "r"} | action
        lines.append(msgspec.json.encode(event | {"time": (START + timedelta(seconds=at_s)).isoformat()}))
    return lines


def shuffle_log(start: list[bytes], groups: list[Lines], chance: Random) -> list[Record]:
    """Build a log that begins with these lines, then has the groups in any order, each in its own, in records of any
    size at any time, and ends when all is due."""
    turns = [number for number, group in enumerate(groups) for _ in group]
    chance.shuffle(turns)
    queues = [iter(group) for group in groups]
    made = [record(0, *start)]
    for _, part in groupby(turns, lambda _: chance.random() < 0.5):
        lines = [next(queues[number]) for number in part]
        made = end_log(made, *lines, after_s=chance.choice((0, 0, 1, 400, 1_000, 3_000_000)))
    return end_log(made, after_s=10**9)


def sum_events(made: list[Record], costs: Sequence[str] = COSTS) -> Counter[Any]:
    """Add up what each event costs, over all that was ever written of it and of its corrections."""
    sums: Counter[Any] = Counter()
    for line in replay_outcomes(made, DOCUMENTS):
        if line["kind"] != "control":
            add_costs(sums, line["id"].partition("-")[0], line, costs)
    return Counter({key: value for key, value in sums.items() if value})


def sign(name: str) -> bytes:
    return control(f"sign-{name}", "contract.signed", name=name, document=CONTRACTS[name][0])


PRICES = [
    *(control(name, "price_book.adopted", name=name, document=BOOKS[name][0]) for name in ("hosts", "base", "tiers")),
    control("again", "price_book.adopted", name="base", document=BOOKS["base_again"][0]),
    control("alias", "model.aliased", name="prod-chat", priced_provider="azure", priced_model="gpt-4"),
]
TERMS = [sign("discounts"), sign("rates")]
COMMITMENTS = [sign("spend"), sign("capacity")]
CLOSINGS = [control(f"close-{month}", "period.closed", month=month) for month in ("2025-12", "2026-01")]


@pytest.mark.parametrize("examples", [150, pytest.param(10_000, marks=[pytest.mark.long, pytest.mark.timeout(1800)])])
@pytest.mark.parametrize(
    ("start", "costs"), [(PRICES + TERMS, COSTS), (PRICES + COMMITMENTS, COSTS[:2])], ids=["terms", "commitments"]
)
def test_the_order_of_events_changes_no_cost(start: list[bytes], costs: Sequence[str], examples: int) -> None:
    """What is said of one event stays in its order; that of others, records, and clocks may be any. Under commitments
    that is so of list and contracted costs: who comes first is covered."""

    @settings(max_examples=examples, deadline=None, suppress_health_check=SLOW)
    @given(histories, some.randoms(), some.randoms())
    def compare(steps: list[list[Any]], first: Random, second: Random) -> None:
        groups = [build_history(str(number), history) for number, history in enumerate(steps)]
        logs = [shuffle_log(start, [*groups, CLOSINGS], chance) for chance in (first, second)]
        assert sum_events(logs[0], costs) == sum_events(logs[1], costs)

    compare()


@pytest.mark.parametrize("examples", [150, pytest.param(10_000, marks=[pytest.mark.long, pytest.mark.timeout(1800)])])
def test_after_a_restatement_the_order_of_prices_changes_no_cost_either(examples: int) -> None:
    """Books, aliases and contracts may come at any time: the sums are those of prices known from the start."""

    @settings(max_examples=examples, deadline=None, suppress_health_check=SLOW)
    @given(histories, some.randoms(), some.randoms())
    def compare(steps: list[list[Any]], first: Random, second: Random) -> None:
        groups = [build_history(str(number), history) for number, history in enumerate(steps)]
        late = shuffle_log([], [*groups, PRICES + TERMS, CLOSINGS], first)
        restatement = control("all", "price.restated", first_offset=0, end_offset=len(late))
        late = end_log(late, restatement, organization="_platform")
        assert sum_events(late) == sum_events(shuffle_log(PRICES + TERMS, groups, second))

    compare()


@settings(max_examples=100, deadline=None, suppress_health_check=SLOW)
@given(some.lists(some.sampled_from((1_000_000, 400_000, 300_001, 7)), max_size=6), some.randoms(), some.randoms())
def test_a_commitment_covers_as_much_in_any_order(tokens: list[int], first: Random, second: Random) -> None:
    """Of calls of one class that one commitment of units is for: only whose calls are covered depends on the order."""
    fields = [{"provider": "acme", "model": "lion", "tokens": {"input": count}} for count in tokens]
    groups = [build_history(str(number), [(data, 0, 0)]) for number, data in enumerate(fields)]
    totals = []
    for chance in (first, second):
        sums: Counter[str] = Counter()
        for (_, _, name), cost in sum_events(shuffle_log([*PRICES[:2], sign("capacity")], groups, chance)).items():
            sums[name] += cost
        totals.append(sums)
    assert totals[0] == totals[1]
