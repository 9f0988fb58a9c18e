"""False alarms and delay of `fct_silent_sources` on senders from a seed.

``python -m benchmarks.anomalies.silence [SENDERS] [SEED]``. So many senders of each rhythm send for a year: day and
night, in office hours with ten holidays, and one batch a night. One organization is healthy; in the other each sender
stops for three days once, on a working day. Printed are, for each rhythm, the silences of the healthy one by sender
and year, the share of outages that are found within a day and within three, and the median delay of those.
"""

import random
import statistics
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from clickhouse_connect.driver.client import Client

from benchmarks.anomalies.marts import HEALTHY, INJECTED, built_marts, fill_rollup
from benchmarks.anomalies.spend import HOLIDAYS

START, HOURS, OUTAGE_HOURS = datetime(2025, 1, 1, tzinfo=UTC), 8_760, 72
HISTORY_HOURS = 26 * 168
"""Hours that the mart judges: the last half year."""
Rate = Callable[[datetime], float]
"""The share of hours like this one in which a sender has calls."""


def main(senders: int = 30, seed: int = 1) -> None:
    draw = random.Random(seed)
    with built_marts() as client:
        starts = store_senders(client, senders, draw)
        for rhythm in RHYTHMS:
            false, delays = measure(client, rhythm, starts)
            years = senders * HISTORY_HOURS / 8_766
            shares = ", ".join(
                f"{sum(delay <= hours for delay in delays) / senders:.2f} within {hours} h" for hours in (24, 72)
            )
            median = f"{statistics.median(delays):g} h" if delays else "none"
            print(f"{rhythm:13} false alarms by sender and year {false / years:.2f}; found {shares}; median {median}")


def draw_day_and_night(draw: random.Random) -> Rate:
    quiet = draw.uniform(0.0, 0.02)
    return lambda hour: 1 - quiet * (2 if hour.hour < 6 else 1)


def draw_office(draw: random.Random) -> Rate:
    first, last = draw.randrange(7, 10), draw.randrange(16, 20)

    def rate(hour: datetime) -> float:
        if hour.weekday() >= 5 or (hour.month, hour.day) in HOLIDAYS:
            return 0.0
        return 0.96 if first < hour.hour < last else 0.6 if hour.hour in (first, last) else 0.01

    return rate


def draw_batch(draw: random.Random) -> Rate:
    """Draw a nightly batch: half of them always in one hour, half in one of two."""
    hour_of_day, early = draw.randrange(1, 5), draw.choice((1.0, 0.7))

    def rate(hour: datetime) -> float:
        first = random.Random(f"{hour:%F}{hour_of_day}").random() < early
        return float(hour.hour == (hour_of_day if first else hour_of_day + 1))

    return rate


RHYTHMS: Mapping[str, Callable[[random.Random], Rate]] = {
    "day and night": draw_day_and_night, "office": draw_office, "batch": draw_batch,
}  # fmt: skip


def store_senders(client: Client, senders: int, draw: random.Random) -> Mapping[str, datetime]:
    """Put the hours of both organizations into the rollup; return when each sender of the second stops."""
    rows: list[tuple[object, ...]] = []
    starts: dict[str, datetime] = {}
    for rhythm, draw_rate in RHYTHMS.items():
        for number in range(senders):
            scope, rate = f"{rhythm}-{number}", draw_rate(draw)
            stop = START + timedelta(days=HOURS // 24 - 20 - draw.randrange(100), hours=draw.randrange(24))
            while stop.weekday() >= 3:
                stop -= timedelta(days=1)
            starts[scope] = stop
            for index in range(HOURS):
                hour = START + timedelta(hours=index)
                if draw.random() >= rate(hour):
                    continue
                text = f"{hour:%F %T}"
                rows.append((0, HEALTHY, "source", scope, text, 9, 0))
                if not stop <= hour < stop + timedelta(hours=OUTAGE_HOURS):
                    rows.append((0, INJECTED, "source", scope, text, 9, 0))
    names = ("log_partition", "organization", "dimension", "scope_value", "charge_hour", "calls", "next_offset")
    fill_rollup(client, "rollup_sender_hours", names, rows)
    return starts


def measure(client: Client, rhythm: str, starts: Mapping[str, datetime]) -> tuple[int, list[float]]:
    """Return the silences that are found where nothing stopped, and the hours after which each stop is found."""
    found = client.query(
        "SELECT organization, scope_value, silent_since, detected_at FROM analytics.fct_silent_sources"
        " WHERE startsWith(scope_value, {rhythm:String})",
        parameters={"rhythm": rhythm},
    ).result_rows
    false = sum(organization == HEALTHY for organization, *_ in found)
    delays = []
    for scope, stop in starts.items():
        own = [
            (detected.replace(tzinfo=UTC) - stop).total_seconds() / 3_600
            for organization, name, _, detected in found
            if organization == INJECTED and name == scope
        ]
        delays += [delay for delay in own if 0 <= delay <= OUTAGE_HOURS][:1]
    return false, delays


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
