"""A model that somebody changed in the warehouse is named, with the way to put it right."""

from collections.abc import Iterator
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from audit.verify.models import Models, find_model_difference, has_rollups
from audit.verify.report import render_report
from audit.verify.totals import Totals
from audit.verify.verify import Report
from tests.audit.test_verify import END
from tests.dashboards.feed import Feed, history
from tests.dashboards.server import warehouse
from warehouse.client import connect

COSTS = "list_cost, contracted_cost, effective_cost, billed_cost"
COLUMNS = f"organization, provider, model, team, quantity as tokens, 1 as calls, {COSTS}"
USAGE = f"-- usage\nselect time as occurred_at, {COLUMNS} from `tally`.`entries`"
HOURS = f"select toStartOfHour(time) as charge_hour, {COLUMNS} from"
VIEWS = {
    "fct_usage": USAGE,
    "fct_usage_hourly": f"{HOURS} tally.entries",
    "fct_calls": f"select time as occurred_at, {COLUMNS} from tally.entries",
}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with warehouse(tmp_path_factory.mktemp("models")) as settings:
        feed = Feed(settings)
        feed.begin()
        feed.add(history(1, 100, END))
        feed.close()
        yield connect(settings)


@pytest.fixture
def models(client: Client) -> Models:
    client.command("CREATE DATABASE IF NOT EXISTS analytics")
    for name, sql in VIEWS.items():
        client.command(f"DROP TABLE IF EXISTS analytics.{name}")
        client.command(f"CREATE VIEW analytics.{name} AS {sql}")
    return Models("analytics", VIEWS, ())


def test_views_as_this_release_defines_them_are_equal(client: Client, models: Models) -> None:
    client.command("CREATE OR REPLACE VIEW analytics.somebodys AS SELECT 1")
    assert find_model_difference(client, models) == (3, None)
    assert find_model_difference(client, models._replace(schema="elsewhere")) == (None, None), "none is built"


def test_a_function_by_another_name_is_the_same(client: Client, models: Models) -> None:
    """ClickHouse stores a view with the function's own name."""
    sql = "select COUNT(*) over () as rows, first_value(team) over (order by seq), SUBSTR(team, 1) from tally.entries"
    expected = models._replace(views=VIEWS | {"fct_usage": sql})
    client.command(f"CREATE OR REPLACE VIEW analytics.fct_usage AS {sql}")
    assert find_model_difference(client, expected) == (3, None)
    client.command(f"CREATE OR REPLACE VIEW analytics.fct_usage AS {sql.replace('first_value', 'last_value')}")
    assert find_model_difference(client, expected)[1] is not None


@pytest.mark.parametrize(
    ("statement", "state"),
    [
        (f"CREATE OR REPLACE VIEW analytics.fct_usage AS {USAGE.replace('billed_cost', 'billed_cost * 9')}", "another"),
        (f"CREATE OR REPLACE VIEW analytics.fct_usage AS {USAGE} where team != 'search'", "another"),
        ("DROP VIEW analytics.fct_usage", "missing"),
        ("CREATE OR REPLACE TABLE analytics.fct_usage ENGINE = Memory AS select organization from tally.entries",
         "a table"),
    ],
)  # fmt: skip
def test_a_view_that_was_replaced_is_named(client: Client, models: Models, statement: str, state: str) -> None:
    client.command("DROP VIEW analytics.fct_usage") if "TABLE" in statement else None
    client.command(statement)
    _, difference = find_model_difference(client, models)
    assert difference is not None and difference["what"] == "the model analytics.fct_usage"
    assert state in difference["warehouse"]
    report = Report(Totals(), Totals(), Totals(), difference, {}, 0)
    text = "".join(str(part) for part in render_report(report).renderables)
    assert "analytics.fct_usage" in text and "tally warehouse models" in text


@pytest.mark.parametrize(
    ("sql", "tables", "answer"),
    [
        ("select 1 from `tally`.`entries` join `analytics`.`fct_usage` using (a)", (), False),
        ("select 1 from `tally`.`calls`", (), True),
        ("select 1 from `analytics`.`rollup_calls`", (), True),
        ("select 1 from `tally`.`entries`", ("rollup_calls",), True),
    ],
)  # fmt: skip
def test_a_table_that_is_not_compared_row_by_row_is_a_rollup(sql: str, tables: tuple[str, ...], answer: bool) -> None:
    assert has_rollups(Models("analytics", VIEWS | {"other": sql}, tables)) is answer


def test_rollups_are_compared_through_the_marts_that_read_them(client: Client, models: Models) -> None:
    client.command("CREATE OR REPLACE TABLE analytics.rollup ENGINE = Memory AS SELECT * FROM tally.entries")
    sql = f"{HOURS} analytics.rollup"
    client.command(f"CREATE OR REPLACE VIEW analytics.fct_usage_hourly AS {sql}")
    rolled = Models("analytics", VIEWS | {"fct_usage_hourly": sql}, ("rollup",))
    assert find_model_difference(client, rolled) == (3, None)
    client.command("ALTER TABLE analytics.rollup UPDATE team = concat(team, '2') WHERE team != '' AND rand() % 2 = 0"
                   " SETTINGS mutations_sync = 2")  # fmt: skip
    _, difference = find_model_difference(client, rolled)
    assert difference is not None and difference["what"].startswith("the sums of analytics.fct_usage_hourly")
    assert "TRUNCATE TABLE analytics.rollup_usage_hours" in difference["way_out"]
    client.command("DROP TABLE analytics.rollup")
    client.command("CREATE VIEW analytics.rollup AS SELECT * FROM tally.entries")
    _, difference = find_model_difference(client, rolled)
    assert difference is not None and difference["what"] == "the model analytics.rollup"


def test_rows_that_arrive_while_it_verifies_are_no_difference(
    client: Client, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ledger that lives has new rows at every statement, so both sums come from one."""
    client.command("CREATE OR REPLACE TABLE analytics.rollup ENGINE = Memory AS SELECT 1")
    read = client.query

    def add_and_read(*arguments: Any, **options: Any) -> Any:
        client.command("INSERT INTO tally.entries SELECT * FROM tally.entries LIMIT 1")
        return read(*arguments, **options)

    monkeypatch.setattr(client, "query", add_and_read)
    assert find_model_difference(client, models._replace(tables=("rollup",))) == (3, None)
    client.command("DROP TABLE analytics.rollup")
