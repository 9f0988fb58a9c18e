"""Recall, precision and delay of watchers of runaways on sessions from a seed.

``python -m benchmarks.runaways.detection [HEALTHY] [RUNAWAYS] [SEED]``. So many healthy sessions, and so many runaways
of each pattern, begin at random moments of a day. Each watcher reads all of it in the order of time. Printed are, for
each: recall (runaways that it pages for after they began), precision (pages that are of a runaway), pages for each
thousand healthy sessions, and the median delay from a runaway's first call to the page, in calls, seconds and dollars.
Then the recall by pattern, and the false pages by pattern.
"""

import random
import statistics
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

from benchmarks.runaways.healthy import HEALTHY
from benchmarks.runaways.loops import LOOPS
from benchmarks.runaways.session import Session, Step
from benchmarks.runaways.watchers import WATCHERS, Pages, TrafficStep

DAY_S = 86_400
PRICES = {"input": 3.0, "cache_read": 0.3, "output": 15.0}
"""Dollars a million tokens, of the model that the watchers' events name."""


class Labelled(NamedTuple):
    """A session, the pattern that it was made by, and whether that is a loop; a loop's past sessions are healthy."""

    pattern: str
    session: Session


Sessions = Mapping[str, Labelled]


def main(healthy: int = 2_000, runaways: int = 20, seed: int = 1) -> None:
    sessions = draw_sessions(healthy, runaways, seed)
    traffic = list_traffic(sessions, seed)
    onsets = sum(labelled.session.onset is not None for labelled in sessions.values())
    print(f"{len(traffic):,} calls of {len(sessions) - onsets:,} healthy sessions and {onsets:,} runaways, seed {seed}")
    pages = {name: watch(traffic) for name, watch in WATCHERS.items()}
    for name, watched in pages.items():
        print(f"  {name:14} {describe_pages(sessions, watched)}")
    print("recall by pattern, of " + ", ".join(pages))
    for pattern in LOOPS:
        print(f"  {pattern:34} " + "  ".join(f"{share:4.0%}" for share in _list_recalls(sessions, pages, pattern)))
    print("healthy sessions paged for, of " + ", ".join(pages))
    for pattern in HEALTHY:
        print(f"  {pattern:34} " + "  ".join(f"{share:4.0%}" for share in _list_false(sessions, pages, pattern)))


def draw_sessions(healthy: int, runaways: int, seed: int) -> dict[str, Labelled]:
    draw = random.Random(seed)
    made: list[Labelled] = []
    names, weights = list(HEALTHY), [weight for _, weight in HEALTHY.values()]
    while len(made) < healthy:
        (name,) = draw.choices(names, weights)
        made += [Labelled(name, session) for session in HEALTHY[name][0](draw)]
    for name, make_sessions in LOOPS.items():
        for _ in range(runaways):
            made += [Labelled(name, session) for session in make_sessions(draw)]
    return {f"session-{number}": labelled for number, labelled in enumerate(made)}


def list_traffic(sessions: Sessions, seed: int) -> list[TrafficStep]:
    """Return the calls of all sessions in the order of time. Sessions of one agent begin at one moment, as their own
    times say which comes first."""
    draw = random.Random(f"begin {seed}")
    begins: dict[Any, float] = {}
    traffic = []
    for name, (_, session) in sessions.items():
        begin_s = begins.setdefault(session.steps[0].fields["agent"], draw.uniform(0, DAY_S))
        traffic += [TrafficStep(begin_s + step.at_s, name, index, step) for index, step in enumerate(session.steps)]
    return sorted(traffic, key=lambda moment: moment.at_s)


def describe_pages(sessions: Sessions, pages: Pages) -> str:
    found = {name: index for name, index in pages.items() if _is_found(sessions[name].session, index)}
    runaways = [name for name, labelled in sessions.items() if labelled.session.onset is not None]
    healthy_pages = sum(sessions[name].session.onset is None for name in pages)
    calls, seconds, dollars, saved = [], [], [], 0.0
    for name, index in found.items():
        session = sessions[name].session
        looped = session.steps[session.onset : index + 1]
        calls.append(len(looped))
        seconds.append(looped[-1].at_s - looped[0].at_s)
        dollars.append(sum(map(price_step, looped)))
        saved += sum(map(price_step, session.steps[index + 1 :]))
    lost = sum(
        price_step(step) for name in runaways for step in sessions[name].session.steps[sessions[name].session.onset :]
    )
    per_thousand = 1_000 * healthy_pages / (len(sessions) - len(runaways))
    if not found:
        return f"recall 0.00, {per_thousand:.1f} pages per 1,000 healthy sessions"
    return (
        f"recall {len(found) / len(runaways):.2f}  precision {len(found) / len(pages):.2f}"
        f"  {per_thousand:5.1f} pages per 1,000 healthy sessions"
        f"  delay {statistics.median(calls):.0f} calls, {statistics.median(seconds):.0f} s,"
        f" ${statistics.median(dollars):.2f}  saved {saved / lost:.0%} of ${lost:,.0f}"
    )


def price_step(step: Step) -> float:
    tokens: Mapping[str, int] = step.fields["tokens"]
    return sum(PRICES[name] * count for name, count in tokens.items()) / 1e6


def _is_found(session: Session, index: int) -> bool:
    return session.onset is not None and index >= session.onset


def _list_recalls(sessions: Sessions, pages: Mapping[str, Pages], pattern: str) -> list[float]:
    runaways = [
        (name, session)
        for name, (made_by, session) in sessions.items()
        if made_by == pattern and session.onset is not None
    ]
    return [
        statistics.mean(_is_found(session, watched.get(name, -1)) for name, session in runaways)
        for watched in pages.values()
    ]


def _list_false(sessions: Sessions, pages: Mapping[str, Pages], pattern: str) -> list[float]:
    names = [name for name, (made_by, _) in sessions.items() if made_by == pattern]
    return [statistics.mean(name in watched for name in names) if names else 0.0 for watched in pages.values()]


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
