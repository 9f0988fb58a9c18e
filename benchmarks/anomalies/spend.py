"""False alarms and recall of `fct_spend_anomalies` on spend from a seed.

``python -m benchmarks.anomalies.spend [SCOPES] [SEED]``. So many teams, models and keys each spend for 18 months: a
week with its weekend, a trend, noise that lasts, month ends of a third of them, and ten holidays a year. One
organization is healthy; the other is the same with anomalies of one to three days, of 1.5, 2 and 5 times the spend.
Printed are, for each dimension, the anomalies of the healthy one by scope and year, and the share of the injected ones
that are found.
"""

import math
import random
import sys
from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import NamedTuple

from clickhouse_connect.driver.client import Client

from benchmarks.anomalies.marts import HEALTHY, INJECTED, built_marts, fill_rollup

FIRST_DAY, DAYS = date(2025, 1, 1), 548
HOLIDAYS = {(1, 1), (4, 18), (4, 21), (5, 1), (5, 29), (6, 9), (10, 3), (12, 24), (12, 25), (12, 26)}
"""Month and day; the same in both years."""
NOISE = {"team": 0.14, "model": 0.17, "key": 0.22}
"""Standard deviation of the logarithm of a day's spend, by dimension: the smaller the scope, the greater."""
COLUMNS = {"team": "team", "model": "model", "key": "key_fingerprint"}
FACTORS = (1.5, 2.0, 5.0)


class Injected(NamedTuple):
    """An anomaly that is to be found."""

    scope: str
    factor: float
    first: date
    last: date


def main(scopes: int = 60, seed: int = 1) -> None:
    draw = random.Random(seed)
    with built_marts() as client:
        for dimension in NOISE:
            injected = store_spend(client, dimension, scopes, draw)
            false, recalls = measure(client, dimension, injected)
            found = ", ".join(f"{factor:g}x {recall:.2f}" for factor, recall in recalls.items())
            years = scopes * (DAYS - 1) / 365.25
            print(f"{dimension:6} false alarms by scope and year {false / years:.2f}; recall {found}", flush=True)


def store_spend(client: Client, dimension: str, scopes: int, draw: random.Random) -> list[Injected]:
    """Put the spend of both organizations into the rollup; return the anomalies of the second."""
    rows: list[tuple[object, ...]] = []
    injected: list[Injected] = []
    for number in range(scopes):
        scope = f"{dimension}-{number}"
        spend = draw_spend(draw, NOISE[dimension])
        own = draw_anomalies(draw, scope)
        injected += own
        for index, cost in enumerate(spend):
            day = FIRST_DAY + timedelta(days=index)
            factor = next((anomaly.factor for anomaly in own if anomaly.first <= day <= anomaly.last), 1.0)
            for organization, amount in ((HEALTHY, cost), (INJECTED, cost * factor)):
                rows.append((0, organization, day, scope, "USD", Decimal(f"{amount:.6f}"), 1, 0))
    names = ("log_partition", "organization", "charge_day", COLUMNS[dimension], "currency", "billed_cost", "calls")
    fill_rollup(client, "rollup_spend_days", (*names, "next_offset"), rows)
    return injected


def draw_spend(draw: random.Random, noise: float) -> list[float]:
    """Draw the healthy spend of a scope, in dollars by day."""
    level, weekend = math.log(draw.uniform(40, 2_000)), math.log(draw.uniform(0.25, 1.0))
    trend, month_end = draw.gauss(0, 0.0015), math.log(1.35) if draw.random() < 1 / 3 else 0.0
    spend, lasting = [], 0.0
    for index in range(DAYS):
        day = FIRST_DAY + timedelta(days=index)
        lasting = 0.6 * lasting + draw.gauss(0, 0.8 * noise * 0.6)
        size = level + trend * index + lasting + draw.gauss(0, noise * 0.8)
        size += weekend if day.weekday() >= 5 else 0.0
        size += month_end if (day + timedelta(days=2)).month != day.month else 0.0
        size += math.log(0.35) if (day.month, day.day) in HOLIDAYS and day.weekday() < 5 else 0.0
        spend.append(math.exp(size))
    return spend


def draw_anomalies(draw: random.Random, scope: str) -> list[Injected]:
    """Draw one anomaly of each factor, in random order, far from each other."""
    anomalies = []
    for place, factor in enumerate(draw.sample(FACTORS, len(FACTORS))):
        first = FIRST_DAY + timedelta(days=110 + 140 * place + draw.randrange(60))
        anomalies.append(Injected(scope, factor, first, first + timedelta(days=draw.randrange(3))))
    return anomalies


def measure(client: Client, dimension: str, injected: list[Injected]) -> tuple[int, Mapping[float, float]]:
    """Return the anomalies found where there are none, and the share found of those of each factor."""
    found = client.query(
        "SELECT organization, scope_value, toDate(began_day), toDate(ended_day) FROM analytics.fct_spend_anomalies"
        " WHERE dimension = {dimension:String} AND direction = 'high'",
        parameters={"dimension": dimension},
    ).result_rows
    false = sum(organization == HEALTHY for organization, *_ in found)
    recalls = {}
    for factor in FACTORS:
        hits = [
            any(
                organization == INJECTED and scope == anomaly.scope and first <= anomaly.last and last >= anomaly.first
                for organization, scope, first, last in found
            )
            for anomaly in injected
            if anomaly.factor == factor
        ]
        recalls[factor] = sum(hits) / len(hits)
    return false, recalls


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
