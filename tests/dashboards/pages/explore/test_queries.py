"""Sums of the page Explore against the calls that were fed: every dimension, with whole hours and without."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from dashboards import periods
from dashboards.pages.explore import queries
from dashboards.pages.explore.dimensions import CLASS, DIMENSIONS, TREE, choose_source
from dashboards.pages.explore.drivers import compute_drivers
from dashboards.pages.explore.measures import MEASURES, find_measure
from dashboards.pages.explore.queries import Groups, View
from dashboards.periods import Span
from dashboards.slices import Slice
from tests.dashboards.pages.conftest import JUDGED_STEP, Crowd, is_success
from warehouse.client import connect

ALL = Slice(size=2000)
RATES = {  # 10^-12 dollars for a token
    "gpt-4o": {"input": 2_500_000, "cache_read": 1_250_000, "output": 10_000_000},
    "gpt-4o-mini": {"input": 150_000, "cache_read": 75_000, "output": 600_000},
    "claude-haiku-4-5": {"input": 1_000_000, "cache_read": 100_000, "output": 5_000_000},
}
FIELDS = {
    "team": "team", "owner": "team", "model": "model", "provider": "provider", "agent": "agent", "user": "user",
    "session": "session", "region": "region", "purpose": "purpose", "service tier": "service_tier", "status": "status",
    "environment": "environment",
}  # fmt: skip


@pytest.fixture
def client(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """A connection that the queries of the page use."""
    client = connect(crowd.settings)

    def ask(sql: str, **parameters: Any) -> list[dict[str, Any]]:
        return list(client.query(sql, parameters=parameters, tz_mode="aware").named_results())

    for name in ("ask", "ask_slowly"):
        monkeypatch.setattr(queries, name, ask)
    yield client
    client.close()


def build_view(
    crowd: Crowd, *dimensions: str, measure: str = "billed", zone: str = "UTC", **filters: list[str]
) -> View:
    """A view of the last week, whose ends lie within hours."""
    end = crowd.now + timedelta(seconds=1)
    period = periods.resolve("7d", end, Span(end, end))
    named = {name.replace("_", " "): values for name, values in filters.items()}
    return View(period, zone, named, dimensions, measure, "USD")


def cost_of(call: dict[str, Any]) -> Decimal:
    rates = RATES[call["model"]]
    return Decimal(sum(number * rates[name] for name, number in call["tokens"].items())).scaleb(-12)


def sum_costs(calls: list[dict[str, Any]], *fields: str) -> dict[tuple[str, ...], Decimal]:
    sums: dict[tuple[str, ...], Decimal] = defaultdict(Decimal)
    for call in calls:
        sums[tuple(call.get(field, "") for field in fields)] += cost_of(call)
    return sums


def read(view: View) -> Groups:
    return queries.read_groups(view, 8, ALL, ALL)


@pytest.mark.parametrize(
    "names",
    [("team", "model"), ("agent", "environment"), ("owner", "region"), ("user", "session"), ("purpose", "status"),
     ("service tier", "provider")],
)  # fmt: skip
def test_groups_are_the_sums_of_their_calls(crowd: Crowd, client: Client, names: tuple[str, ...]) -> None:
    groups = read(build_view(crowd, *names))
    expected = sum_costs(crowd.calls, *(FIELDS[name] for name in names))
    assert {group.names: group.now.billed for group in groups.rows} == expected
    assert groups.now.billed == sum(expected.values()) and groups.row_count == len(expected)


@pytest.mark.parametrize(
    "dimension",
    [each.name for each in DIMENSIONS if "outcomes" not in each.columns or "calls" in each.columns] + ["tag:epic"],
)
def test_the_groups_of_any_dimension_add_up_to_all(crowd: Crowd, client: Client, dimension: str) -> None:
    groups = read(build_view(crowd, dimension))
    assert groups.now.billed == sum(map(cost_of, crowd.calls))
    assert sum(group.now.billed or 0 for group in groups.rows) == groups.now.billed
    assert sum(group.now.tokens for group in groups.rows) == groups.now.tokens > 0
    if dimension != CLASS:
        assert groups.now.calls == len(crowd.calls)


def test_tags_are_a_dimension_and_a_filter(crowd: Crowd, client: Client) -> None:
    assert queries.list_tag_keys() == ["tag:epic"]
    view = build_view(crowd, "model")._replace(filters={"tag:epic": ["EPIC-2", "⟦none⟧"]})
    calls = [call for call in crowd.calls if call.get("tags", {}).get("epic", "") in ("EPIC-2", "")]
    assert read(view).now.billed == sum(map(cost_of, calls))


def test_the_team_tree_opens_level_by_level(crowd: Crowd, client: Client) -> None:
    by_division: dict[str, Decimal] = defaultdict(Decimal)
    for number, call in enumerate(crowd.calls):
        by_division[f"division-{number % 4}"] += cost_of(call)
    top = read(build_view(crowd, TREE))
    assert {group.names[0]: group.now.billed for group in top.rows} == by_division
    below = read(build_view(crowd, TREE)._replace(filters={TREE: ["division-1"]}))
    assert below.row_count == 76 and below.now.billed == by_division["division-1"]
    leaf = read(build_view(crowd, TREE)._replace(filters={TREE: ["team-001"]}))
    assert [group.names for group in leaf.rows] == [("team-001",)]


def test_a_team_that_fell_to_nothing_leads_the_changes(crowd: Crowd, client: Client) -> None:
    groups = queries.read_groups(build_view(crowd, "team"), 8, Slice(size=12), Slice(size=5))
    assert groups.moves[0].names == ("fallen",) and groups.fall == groups.moves[0]
    assert groups.moves[0].before.billed == 1000 and not groups.moves[0].now.calls
    assert groups.row_count == 304 and len(groups.rows) == 12
    found = queries.read_groups(build_view(crowd, "team"), 8, Slice("M-01", 3, 5), Slice("FALL", 0, 5))
    assert found.row_count == 10 and len(found.rows) == 5 and found.move_count == 1
    assert found.now == groups.now, "a search changes no total"


@pytest.mark.parametrize(
    ("dimension", "measure"),
    [
        *(("model", each.name) for each in MEASURES if each.name != "cost per success"),
        ("metric", "cost per success"),
        ("user", "billed"),
        ("tool", "cache savings"),
    ],
)
def test_bars_add_up_to_the_figure(crowd: Crowd, client: Client, measure: str, dimension: str) -> None:
    view = build_view(crowd, dimension, measure=measure)
    groups = read(view)
    span = view.period.now
    bars = queries.list_bars(view, span, periods.choose_bar(span), groups.top)
    assert bars
    if view.measure.kind != "ratio":
        total = view.measure.compute(groups.now)
        assert sum(bar["height"] for bar in bars) == pytest.approx(float(total or 0))


@pytest.mark.parametrize(
    ("zone", "bar"),
    [("UTC", "day"), ("Europe/Berlin", "day"), ("Asia/Kolkata", "day"), ("America/St_Johns", "week"),
     ("Pacific/Kiritimati", "month"), ("Asia/Kolkata", 3600)],
)  # fmt: skip
def test_bars_are_those_of_the_readers_clock(crowd: Crowd, client: Client, zone: str, bar: int | str) -> None:
    view = build_view(crowd, "provider", zone=zone, measure="calls")
    bars = queries.list_bars(view, view.period.now, bar, [("openai",)])
    assert sum(row["height"] for row in bars) == len(crowd.calls)
    local = (crowd.now - timedelta(hours=1)).astimezone(periods.find_zone(zone))
    if bar == "day":
        assert {row["start"] for row in bars} == {local.date()}
    elif bar == "week":
        assert {row["start"] for row in bars} == {local.date() - timedelta(days=local.weekday())}
    elif bar == "month":
        assert {row["start"] for row in bars} == {local.date().replace(day=1)}


@pytest.mark.parametrize(
    ("dimension", "measure"), [("team", "billed"), ("team", "notional"), ("user", "list"), ("tool", "billed")]
)
def test_the_drivers_are_the_change(crowd: Crowd, client: Client, dimension: str, measure: str) -> None:
    view = build_view(crowd, dimension, measure=measure)
    groups, drivers = read(view), compute_drivers(queries.list_segments(view))
    now, before = (view.measure.compute(sums) or Decimal(0) for sums in (groups.now, groups.before))
    assert drivers.change == now - before


def test_the_cost_of_a_success_counts_failures(crowd: Crowd, client: Client) -> None:
    judged = range(0, len(crowd.calls), JUDGED_STEP)
    groups = read(build_view(crowd, "metric", "owner", measure="cost per success"))
    assert groups.now.successes == sum(map(is_success, judged)) < len(judged) == groups.now.calls
    assert groups.now.billed == sum(cost_of(crowd.calls[number]) for number in judged)
    assert {group.names: group.now.billed for group in groups.rows if group.now.successes} == {
        ("resolved", crowd.calls[number]["team"]): cost_of(crowd.calls[number])
        for number in judged
        if is_success(number)
    }
    cost = find_measure("cost per success").compute(groups.now)
    assert cost is not None and cost * groups.now.successes == pytest.approx(groups.now.billed)
    assert choose_source(["model"], "cost per success") is None


def test_sums_by_hour_are_read_where_they_have_all_of_it() -> None:
    names = {
        ("team", "model"): "hours", ("user", "model"): "usage", ("token class", "team tree"): "usage",
        ("tool",): "calls", ("tag:epic", "user"): "calls", ("outcome", "owner"): "outcomes",
    }  # fmt: skip
    for dimensions, name in names.items():
        source = choose_source(dimensions, "billed")
        assert source is not None and source.name == name
    assert choose_source(["tag:epic", CLASS], "billed") is None
    assert choose_source(["outcome", "model"], "billed") is None
    assert choose_source([CLASS], "calls") is None
    assert choose_source(["nothing"], "billed") is None


def test_values_for_a_filter_are_those_of_the_period(crowd: Crowd, client: Client) -> None:
    view = build_view(crowd, "team", team=["team-003"])
    assert queries.list_values(view, "model") and set(queries.list_values(view, "region")) == {"eu", "us"}
    assert "division-2" in queries.list_values(view, TREE)
    assert "fallen" not in queries.list_values(view, "owner")


def test_a_span_of_another_century_is_no_error(crowd: Crowd, client: Client) -> None:
    data = Span(datetime(2000, 1, 1, tzinfo=UTC), crowd.now)
    view = build_view(crowd, "team")._replace(period=periods.Period(data, None))
    assert queries.list_bars(view, data, "month", [("fallen",)])[0]["start"].year == 2000
