"""Reservations of the most that a call may cost, beside estimates from what calls like it cost.

``python -m benchmarks.rights.estimates [CALLS]``. Asks and settlements of a simulated mix go to the core of the
folds, without a log: what is reserved for each dollar that is used, how often and by how much a call costs more than
was reserved for it, and by how much a limit is exceeded that holds half of what is asked for. Then a burst of coding
agents, each with a large ``max_tokens``, on a budget of 25 dollars.
"""

import heapq
import random
import statistics
import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

from streams.folds.grants import admission, uses
from streams.folds.grants.admission import Ask, decide, expire_reservation
from streams.folds.grants.estimates import MAX_SAMPLES
from streams.folds.grants.limits import Amounts, Limit
from streams.folds.grants.tree import Grant
from streams.folds.grants.tree_changes import create_grant
from streams.folds.grants.uses import UsedCall
from streams.folds.grants.windows import Window
from streams.folds.state import State

ORGANIZATION, SECOND, DAY_US = "acme", 1_000_000, 86_400_000_000
DOLLAR = 10**12
INPUT, CACHED, OUTPUT = 3 * 10**6, 3 * 10**5, 15 * 10**6
"""Pico of a dollar a token: 3, 0.30 and 15 dollars a million."""
QUANTILES = (0.9, 0.95, 0.99)
CONCURRENT = 100
AGENTS, BUDGET = 400, 25


class Call(NamedTuple):
    """A call as it is asked for and as it turns out, in pico of a dollar."""

    greatest: int
    actual: int
    duration_us: int
    model: str


def draw_chat(draw: random.Random) -> Call:
    """Draw a chat: prompts and answers of some hundred tokens, one of a few round ``max_tokens``."""
    input_tokens, output_tokens = draw.lognormvariate(6.7, 0.8), draw.lognormvariate(5.5, 0.9)
    return build_call(input_tokens, 0.3, output_tokens, draw.choice((1024, 4096)), "chat")


def draw_agent(draw: random.Random) -> Call:
    """Draw a step of a coding agent: a long context that is mostly cached, a short answer, 64,000 tokens at most."""
    return build_call(draw.uniform(5_000, 120_000), 0.9, draw.lognormvariate(6, 1.1), 64_000, "agent")


def draw_extraction(draw: random.Random) -> Call:
    """Draw a field of a document: the answer is short and nearly as long as it may be."""
    return build_call(draw.lognormvariate(8, 0.4), 0.0, draw.uniform(150, 500), 512, "extraction")


def build_call(input_tokens: float, cached: float, output_tokens: float, max_tokens: int, model: str) -> Call:
    tokens, output = int(input_tokens), min(int(output_tokens), max_tokens)
    read = int(tokens * cached)
    actual = (tokens - read) * INPUT + read * CACHED + output * OUTPUT
    return Call(tokens * INPUT + max_tokens * OUTPUT, actual, SECOND + output * 15_000, model)


KINDS: dict[str, Callable[[random.Random], Call]] = {
    "chat": draw_chat, "coding agents": draw_agent, "extraction": draw_extraction,
}  # fmt: skip


def draw_mix(draw: random.Random) -> Call:
    return draw.choice(list(KINDS.values()))(draw)


class World:
    """A grant with one limit, and the calls that run."""

    def __init__(self, limit: int, quantile: float | None, window: Window) -> None:
        self.state, self.now_us, self.count = State(), 1_000 * SECOND, 0
        self.quantile_ppm = None if quantile is None else int(quantile * 1_000_000)
        grant = Grant("g", None, "team", "search", (), (Limit("billed", limit, window, "USD"),))
        create_grant(self.state, ORGANIZATION, grant, 0)
        self.running: list[tuple[int, int, Call, int]] = []
        self.reserved, self.used = list[int](), list[int]()

    def ask(self, call: Call) -> bool:
        """Ask for a call, and run it if it is admitted."""
        self.count += 1
        ask = Ask(
            ORGANIZATION, f"a{self.count}", {"team": "search"}, {"models": call.model}, self.now_us + 3600 * SECOND,
            None, self.quantile_ppm,
        )  # fmt: skip
        decision = decide(self.state, ask, lambda _: Amounts(call.greatest, call.greatest, "USD"), self.now_us)
        if decision.answer != "allow":
            return False
        end_us = self.now_us + call.duration_us
        heapq.heappush(self.running, (end_us, self.count, call, decision.charges[0].amount))
        return True

    def settle(self) -> None:
        """Move the time on to the end of the next call, and settle it."""
        self.now_us, number, call, reserved = heapq.heappop(self.running)
        for _, key in self.state.take_due(self.now_us):
            if key[1] == admission.RESERVATION:
                expire_reservation(self.state, key)
        amounts = Amounts(call.actual, call.actual, "USD")
        scopes = {"team": "search"}
        used_call = UsedCall(ORGANIZATION, (number, 0), self.now_us, scopes, {}, amounts, admission=f"a{number}")
        uses.settle(self.state, used_call, self.now_us)
        self.reserved.append(reserved)
        self.used.append(call.actual)


def run(calls: Iterator[Call], limit: int, quantile: float | None) -> World:
    """Run calls, so many at once, until there are no more or one is refused while nothing runs."""
    world = World(limit, quantile, Window())
    call = next(calls, None)
    while call is not None or world.running:
        if call is not None and len(world.running) < CONCURRENT and world.ask(call):
            call = next(calls, None)
        elif world.running:
            world.settle()
        else:
            break
    return world


def compare_mix(count: int) -> None:
    print(f"{count:,} calls of each kind, {CONCURRENT} at once")
    print(f"  {'':16} {'':>9} {'reserved/used':>14} {'above':>7} {'p99 of excess':>14} {'limit exceeded':>15}")
    for kind, draw_call in {**KINDS, "mix": draw_mix}.items():
        draw = random.Random(19)
        calls = [draw_call(draw) for _ in range(count)]
        half = sum(call.actual for call in calls) // 2
        for quantile in (None, *QUANTILES):
            world = run(iter(calls), 10**30, quantile)
            full = run(iter(calls), half, quantile)
            pairs = [*zip(world.reserved, world.used, strict=True)][MAX_SAMPLES + CONCURRENT :]
            ratio = sum(reserved for reserved, _ in pairs) / sum(used for _, used in pairs)
            above = sum(used > reserved for reserved, used in pairs) / len(pairs)
            excess = statistics.quantiles([max(0, used - reserved) / reserved for reserved, used in pairs], n=100)[98]
            beyond = max(0, sum(full.used) - half) / half
            name = "most" if quantile is None else f"q {quantile}"
            print(f"  {kind:16} {name:>9} {ratio:14.2f} {above:7.1%} {excess:14.1%} {beyond:15.2%}")


def compare_burst() -> None:
    """Ask for one step of each of many agents at once, with a history of the day before."""
    print(f"\nA burst of {AGENTS} steps of coding agents at once, of a budget of {BUDGET} dollars a day")
    print(f"  {'':>9} {'admitted':>9} {'reserved':>9} {'used':>8} {'used of the budget':>19}")
    for quantile in (None, *QUANTILES):
        draw = random.Random(19)
        world = World(BUDGET * DOLLAR, quantile, Window("rolling", DAY_US))
        for _ in range(MAX_SAMPLES):
            if world.ask(draw_agent(draw)):
                world.settle()
        world.now_us += 2 * DAY_US
        world.reserved, world.used = [], []
        admitted = sum(world.ask(draw_agent(draw)) for _ in range(AGENTS))
        while world.running:
            world.settle()
        reserved, used = sum(world.reserved) / DOLLAR, sum(world.used) / DOLLAR
        name = "most" if quantile is None else f"q {quantile}"
        print(f"  {name:>9} {admitted / AGENTS:9.0%} {reserved:9.2f} {used:8.2f} {used / BUDGET:19.0%}")


def main(count: int = 5_000) -> None:
    compare_mix(count)
    compare_burst()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
