"""A day of the demo organization, from a seed: when its sessions begin."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from random import Random

from tally.demo.calls import Event, make_session
from tally.demo.organization import WORKLOADS, Workload

SEED = 2026
SOURCE = "demo-history"
OFFICE = (1, 1, 1, 1, 1, 2, 4, 8, 14, 18, 19, 18, 15, 17, 19, 18, 16, 12, 8, 6, 4, 3, 2, 1)
NIGHT = (9, 12, 14, 12, 8, 3, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 3, 6, 8)
WEEKEND = 0.35
GROWTH = 0.25  # a feature that was launched reaches its sessions day by day


def make_day(day: date, end: date, seed: int = SEED) -> list[Event]:
    """Make every event that begins on a day, in the order of time. ``end`` is the last day of history, from which
    launches are counted back. The same days and seed give the same events."""
    events: list[Event] = []
    for number, work in enumerate(WORKLOADS):
        chance = Random(f"{seed}/{day}/{number}")
        for index, start in enumerate(_starts(work, day, end, chance)):
            events += make_session(work, f"{day:%m%d}-{number}-{index}", SOURCE, start, chance)
    events.sort(key=lambda event: (event["time"], event["id"]))
    return events + list(_make_mishaps(events, day, seed))


def _starts(work: Workload, day: date, end: date, chance: Random) -> Iterator[datetime]:
    age = (day - end).days + work.since_days
    if age < 0:
        return
    share = min(1.0, GROWTH * (age + 1)) * (WEEKEND if day.weekday() >= 5 else 1.0)
    hours = NIGHT if work.by_night else OFFICE
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    for hour in chance.choices(range(24), hours, k=round(work.sessions * share * chance.uniform(0.85, 1.15))):
        yield midnight + timedelta(hours=hour, seconds=chance.uniform(0, 3600))


def _make_mishaps(events: list[Event], day: date, seed: int) -> Iterator[Event]:
    """Yield the faulty events of a day: some sent twice, one again with other content, one that is not an event, one
    whose totals contradict its tokens."""
    chance = Random(f"{seed}/{day}/mishaps")
    if not events:
        return
    yield from chance.sample(events, min(4, len(events)))
    if day.day % 5 == 0:
        conflicting = chance.choice(events)
        yield conflicting | {"data": conflicting["data"] | {"latency_ms": 1}}
    if day.day % 3 == 0:
        broken = chance.choice(events)
        yield broken | {"id": broken["id"] + "-broken", "data": broken["data"] | {"tokens": {"input": -1}}}
    if day.day % 7 == 0:
        miscounted = chance.choice([event for event in events if "tokens" in event["data"]])
        reported = {"total": sum(miscounted["data"]["tokens"].values()) + 100}
        data = miscounted["data"] | {"reported_tokens": reported}
        yield miscounted | {"id": miscounted["id"] + "-miscounted", "data": data}


def list_days(first: date, last: date) -> list[date]:
    """List the days from the first to the last, both included."""
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]
