"""False alarms and delays of the pace at which an agent spends, by simulation.

``python -m benchmarks.runaways.pace [CALLS] [SEED]``. Healthy agents make so many calls in sessions of some minutes.
Costs of calls are lognormal, minutes are busy and idle, and one session has longer prompts than another. No floor of
money hides an alarm. Printed are false alarms per million healthy calls; then, for paces that are 2, 5, 10 and 20 times
the usual, the share of sessions of 700 calls in which it is found, and the median delay in calls.
"""

import math
import random
import statistics
import sys
from collections.abc import Iterator
from typing import NamedTuple

from ledger.money import PICO
from streams.folds.runaways import pace as rules

SESSION_MINUTES, CALLS_A_MINUTE = 20, 6.0
CALL_SPREAD, MINUTE_SPREAD, SESSION_SPREAD = 1.0, 0.5, 0.4
"""Standard deviations of the logarithms: of costs of calls, of calls in minutes, of costs in sessions."""
COST = 1_000 * PICO
"""The median cost of a call: so much that the floor of money never counts."""
HISTORY_SESSIONS = 10
TRIALS, TRIAL_CALLS = 200, 700


class Call(NamedTuple):
    """A call in a minute of its session."""

    time_us: int
    cost: int


def main(calls: int = 1_000_000, seed: int = 1) -> None:
    draw = random.Random(seed)
    alarms, call_count = _count_false_alarms(draw, calls)
    rate = alarms * 1e6 / call_count
    print(f"{rate:.1f} false alarms per million healthy calls ({alarms} of {call_count:,}, seed {seed})")
    for factor in (2, 5, 10, 20):
        delays = [_find_delay(draw, factor) for _ in range(TRIALS)]
        known_delays = sorted(delay for delay in delays if delay is not None)
        median = f"median delay {statistics.median(known_delays):.0f} calls" if known_delays else "never"
        print(
            f"  {factor:2} times its pace: found in {len(known_delays) / TRIALS:.0%} of {TRIAL_CALLS} calls, {median}"
        )


def _count_false_alarms(draw: random.Random, calls: int) -> tuple[int, int]:
    alarms = call_count = 0
    while call_count < calls:
        habit = rules.Habit()
        for _ in range(60):  # the sessions of one agent
            session = list(_make_session(draw, SESSION_MINUTES, 1))
            alarm, habit = _watch(session, habit)
            call_count += len(session)
            alarms += alarm is not None
    return alarms, call_count


def _find_delay(draw: random.Random, factor: float) -> int | None:
    habit = rules.Habit()
    for _ in range(HISTORY_SESSIONS):
        _, habit = _watch(list(_make_session(draw, SESSION_MINUTES, 1)), habit)
    session = list(_make_session(draw, 200, factor))[:TRIAL_CALLS]
    return _watch(session, habit)[0]


def _make_session(draw: random.Random, minutes: int, factor: float) -> Iterator[Call]:
    """Yield the calls of a session, so many times as many a minute as usual."""
    level = COST * draw.lognormvariate(0, SESSION_SPREAD)
    for minute in range(minutes):
        busy = draw.lognormvariate(0, MINUTE_SPREAD)
        count = _draw_poisson(draw, CALLS_A_MINUTE * busy * factor)
        for fraction in sorted(draw.random() for _ in range(count)):
            cost = int(level * draw.lognormvariate(0, CALL_SPREAD))
            yield Call(int((minute + fraction) * rules.MINUTE_US), cost)


def _watch(session: list[Call], habit: rules.Habit) -> tuple[int | None, rules.Habit]:
    """Return the number of the call at which an alarm is raised, and the habit of the agent afterwards."""
    pace, alarm = None, None
    for number, call in enumerate(session, 1):
        pace, habit = rules.spend(pace, habit, "USD", call.time_us, call.cost)
        if alarm is None and pace.is_fast:
            alarm = number
    return alarm, habit


def _draw_poisson(draw: random.Random, mean: float) -> int:
    limit, count, product = math.exp(-mean), 0, draw.random()
    while product > limit:
        count, product = count + 1, product * draw.random()
    return count


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
