"""The marts of anomalies over rows of their rollups: what is ordinary is not told, and what is not is told once."""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from benchmarks.anomalies import spend
from benchmarks.anomalies.marts import fill_rollup
from ledger.settings import Settings
from tests.dashboards.server import warehouse
from tests.tally.conftest import invoke
from tests.warehouse.plugin import InstallWarehouse
from warehouse.client import connect

MONDAY = date(2026, 1, 5)
MIDNIGHT = datetime(2026, 1, 5, tzinfo=UTC)
ROLLUPS = ("rollup_spend_days", "rollup_sender_hours", "rollup_provider_minutes")
Spend = Callable[[int], float]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory, install_warehouse: InstallWarehouse) -> Iterator[Settings]:
    with warehouse(install_warehouse(tmp_path_factory.mktemp("anomalies")).home) as settings:
        yield settings


@pytest.fixture
def client(settings: Settings) -> Client:
    client = connect(settings)
    for rollup in ROLLUPS:
        client.command(f"TRUNCATE TABLE analytics.{rollup}")
    return client


def store_spend(client: Client, spent: Spend, days: int, **fields: Any) -> None:
    """Put the spend of team search into the rollup, by day from a Monday on."""
    rows = [
        (0, "acme", MONDAY + timedelta(days=day), *fields.values(), "USD", f"{spent(day):.6f}", 10, 1_000, 0)
        for day in range(days)
    ]
    names = ("log_partition", "organization", "charge_day", *fields, "currency", "billed_cost", "calls", "tokens")
    fill_rollup(client, "rollup_spend_days", (*names, "next_offset"), rows)


def find_spend(client: Client) -> list[tuple[Any, ...]]:
    """Return the anomalies of teams: direction, first and last day as numbers, excess."""
    rows = client.query(
        "SELECT direction, toDate(began_day), toDate(ended_day), excess FROM analytics.fct_spend_anomalies"
        " WHERE dimension = 'team' ORDER BY began_day"
    ).result_rows
    return [(direction, (first - MONDAY).days, (last - MONDAY).days, excess) for direction, first, last, excess in rows]


def spend_week(day: int) -> float:
    """Spend of a steady week: a fifth on weekends, and a little noise that repeats after eleven days."""
    return (100.0 if day % 7 < 5 else 20.0) * (1 + 0.02 * (day * 5 % 11 - 5))


def is_spike(day: int) -> bool:
    return day in (80, 81)


@pytest.mark.parametrize(
    ("spent", "days"),
    [
        (spend_week, 120),
        (lambda day: spend_week(day) * 1.01**day, 120),
        (lambda day: 0.0 if day < 5 else spend_week(day) * 9, 14),
        (lambda day: spend_week(day) / 50 * (4 if is_spike(day) else 1), 120),
    ],
    ids=["weekends", "a trend of one percent a day", "the first fortnight", "less than the least excess"],
)
def test_what_is_ordinary_is_no_anomaly(client: Client, spent: Spend, days: int) -> None:
    store_spend(client, spent, days, team="search")
    assert find_spend(client) == []


def test_a_spike_on_a_weekend_is_one_anomaly_though_it_stays_below_a_weekday(client: Client) -> None:
    store_spend(client, lambda day: 90.0 if day in (82, 83) else spend_week(day), 120, team="search")
    ((direction, first, last, excess),) = find_spend(client)
    assert (direction, first, last) == ("high", 82, 83) and 130 < excess < 150


def test_a_drop_is_told_as_low(client: Client) -> None:
    store_spend(client, lambda day: 10.0 if day == 80 else spend_week(day), 120, team="search")
    assert [row[:3] for row in find_spend(client)] == [("low", 80, 80)]


def test_a_day_that_is_not_over_is_not_judged(client: Client) -> None:
    store_spend(client, lambda day: 900.0 if day == 80 else spend_week(day), 81, team="search")
    assert find_spend(client) == []


def test_causes_name_what_grew_and_add_up_to_the_last_digit(client: Client) -> None:
    for model, share in (("small", 1 / 3), ("great", 2 / 3)):
        factor = 4 if model == "great" else 1

        def spent(day: int, share: float = share, factor: int = factor) -> float:
            return spend_week(day) * share * (factor if is_spike(day) else 1)

        store_spend(client, spent, 120, model=model, team="search")
    causes = client.query(
        "SELECT breakdown, value, explained_cost, excess, explained_share FROM analytics.fct_spend_anomaly_causes"
        " AS causes JOIN analytics.fct_spend_anomalies AS anomalies ON causes.anomaly_id = anomalies.anomaly_id"
        " WHERE dimension = 'team'"
    ).result_rows
    sums: dict[str, Decimal] = {}
    for breakdown, _, explained, _, _ in causes:
        sums[breakdown] = sums.get(breakdown, Decimal(0)) + explained
    (excess,) = {row[3] for row in causes}
    assert len(sums) == 8 and set(sums.values()) == {excess}
    shares = {(breakdown, value): share for breakdown, value, _, _, share in causes}
    assert shares["model", "great"] > 0.95 and abs(shares["model", "small"]) < 0.05
    assert shares["effect", "price"] > 0.95, "as many calls and tokens cost more"


def store_hours(client: Client, scope: str, hours: Sequence[int]) -> None:
    rows = [(0, "acme", "source", scope, f"{MIDNIGHT + timedelta(hours=hour):%F %T}", 5, 0) for hour in hours]
    names = ("log_partition", "organization", "dimension", "scope_value", "charge_hour", "calls", "next_offset")
    fill_rollup(client, "rollup_sender_hours", names, rows)


def find_silences(client: Client) -> dict[str, tuple[Any, ...]]:
    """Return of each sender the numbers of the hours: silent since, detected, restored."""
    rows = client.query(
        "SELECT scope_value, silent_since, detected_at, restored_at FROM analytics.fct_silent_sources"
    ).result_rows
    return {
        scope: tuple(
            None if at is None else int((at.replace(tzinfo=UTC) - MIDNIGHT).total_seconds()) // 3_600 for at in times
        )
        for scope, *times in rows
    }


def test_a_sender_is_silent_by_its_own_rhythm(client: Client) -> None:
    end = 60 * 24
    silent = range(42 * 24 + 1, 45 * 24 + 1)  # from a Monday, one o'clock, on
    office = [hour for hour in range(end) if hour // 24 % 7 < 5 and 8 <= hour % 24 < 18]
    batch = [hour for hour in range(end) if hour % 24 == 2]
    store_hours(client, "healthy", range(end))
    store_hours(client, "night and day", [hour for hour in range(end) if hour not in silent])
    store_hours(client, "office", office)
    store_hours(client, "office with a holiday", [hour for hour in office if hour // 24 != 42])
    store_hours(client, "batch", [hour for hour in batch if hour not in silent])
    store_hours(client, "ended", [hour for hour in range(end) if hour < 1_000])
    assert find_silences(client) == {
        "night and day": (42 * 24 + 1, 42 * 24 + 5, 45 * 24 + 1),
        "batch": (41 * 24 + 3, 42 * 24 + 3, 45 * 24 + 2),
        "ended": (1_000, 1_004, None),
    }


def test_minutes_of_refusals_are_one_saturation(client: Client) -> None:
    refused = {10: 5, 11: 0, 12: 9, 40: 4, 50: 30, 60: 0}
    rows = [
        (0, "acme", "openai", "m", f"{MIDNIGHT + timedelta(minutes=minute):%F %T}", 20, count, 1, 0)
        for minute, count in refused.items()
    ]
    names = ("log_partition", "organization", "provider", "model", "charge_minute", "calls", "refused_calls")
    fill_rollup(client, "rollup_provider_minutes", (*names, "retries", "next_offset"), rows)
    found = client.query(
        "SELECT toMinute(began_at), toMinute(ended_at), minutes, refused_calls FROM analytics.fct_saturations"
        " ORDER BY began_at"
    ).result_rows
    assert found == [(10, 13, 2, 14), (50, 51, 1, 30)]


def test_the_command_tells_each_kind_in_words(client: Client, settings: Settings, monkeypatch: Any) -> None:
    monkeypatch.setattr("tally.product.catch_up.warehouse_with_models", nullcontext)  # it runs already
    store_spend(client, lambda day: 400.0 if day == 80 else spend_week(day), 120, model="great", team="search")
    store_hours(client, "batch", [hour for hour in range(60 * 24) if hour % 24 == 2 and hour // 24 != 42])
    home = {"TALLY_HOME": str(settings.home), "TALLY_ORGANIZATION": "acme"}
    shown = " ".join(invoke("anomalies", **home).stdout.split())
    assert "spent 400.00 USD on 2026-03-26" in shown and "is expected" in shown
    listed = invoke("anomalies", "--kind", "spend", "--json", **home).stdout
    assert '"breakdown": "effect"' in listed and '"silence"' not in listed
    assert "nothing out of the ordinary" in invoke("anomalies", "--org", "other", **home).stdout
    wrong = invoke("anomalies", "--kind", "noise", **home)
    assert wrong.returncode == 2 and "choose one of spend, silence, saturation" in wrong.stderr


def test_the_simulation_finds_five_times_the_spend(client: Client) -> None:
    """The programs that publish false alarms and recall run on these very marts."""
    draw = random.Random(3)
    false, recalls = spend.measure(client, "team", spend.store_spend(client, "team", 6, draw))
    assert false <= 6 and recalls[5.0] >= 5 / 6
