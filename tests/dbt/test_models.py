"""The dbt project: built on an empty warehouse, and on a full one with its tests; its figures are exact."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
import yaml
from clickhouse_connect.driver.client import Client

from audit.verify.models import find_model_difference, has_rollups
from ledger.settings import Settings
from tally import dbt_models
from tests.dashboards.feed import Feed, budget, call, corrected, doubtful
from tests.dashboards.server import ROOT, build, warehouse
from tests.tally.conftest import tally
from tests.warehouse.plugin import InstallWarehouse
from warehouse.client import connect

MODELS = sorted((ROOT / "dbt" / "models").rglob("*.sql"))
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
LATER = datetime(2026, 1, 7, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory, install_warehouse: InstallWarehouse) -> Iterator[Settings]:
    """A warehouse whose models were built while it was empty; then a few events arrived."""
    with warehouse(install_warehouse(tmp_path_factory.mktemp("models")).home) as settings:
        feed = Feed(settings)
        feed.begin()
        feed.add([
            call("priced", NOON, team="search", provider="openai", model="gpt-4o", model_resolved="gpt-4o",
                 tokens={"input": 3, "output": 1}),
            call("theirs", NOON, team="search", model="gpt-4o", payer="customer", tokens={"input": 2}),
            call("unpriced", NOON, team="search", model="in-house-7b", tokens={"input": 7}),
            call("free", NOON, team="search", model="gpt-4o", response_cache="hit", tokens={"input": 9}),
            call("silent", NOON, team="search", model="gpt-4o", status="error", calls=3),
            call("totals", NOON, team="search", model="gpt-4o", reported_tokens={"input": 2, "output": 1}),
            call("sums", NOON, source="other", team="search", model="gpt-4o", tokens={"input": 1},
                 reported_tokens={"input": 4}),
            *doubtful(datetime.now(UTC)),
            *corrected(LATER),
            budget("small", "team", "support", "0.01"),
        ], refused=4)  # fmt: skip
        feed.close()
        yield settings


@pytest.fixture
def client(settings: Settings) -> Client:
    return connect(settings)


def test_every_test_passes_on_a_ledger_with_all_outcomes(settings: Settings) -> None:
    done = build(settings)
    assert done.returncode == 0, done.stdout


def test_verify_finds_the_views_as_dbt_compiles_them(settings: Settings, client: Client) -> None:
    """And names one that multiplies by ten."""
    models = dbt_models.read_models(settings)
    assert dbt_models.read_models(settings) == models, "from its file"
    assert find_model_difference(client, models) == (len(models.views), None)
    assert len(models.views) + len(models.tables) == len(MODELS)
    assert has_rollups(models) == bool(models.tables)
    replaced = f"select * replace (billed_cost * 10 as billed_cost) from ({models.views['fct_usage']})"
    client.command(f"CREATE OR REPLACE VIEW analytics.fct_usage AS {replaced}")
    try:
        _, difference = find_model_difference(client, models)
    finally:
        client.command(f"CREATE OR REPLACE VIEW analytics.fct_usage AS {models.views['fct_usage']}")
    assert difference is not None and difference["what"] == "the model analytics.fct_usage"


def test_calls_sum_their_entries(client: Client) -> None:
    rows = client.query(
        "select event_id, pricing, tokens, unpriced_quantity, list_cost, billed_cost from analytics.fct_calls"
        " where occurred_at = {at:DateTime64(6, 'UTC')} order by event_id",
        parameters={"at": NOON},
    ).result_rows
    cent = Decimal("0.000001")
    assert rows == [
        ("free", "free", 0, 0, Decimal(0), Decimal(0)),
        ("priced", "priced", 4, 0, cent * 35 / 2, cent * 35 / 2),
        ("silent", "unknown", 0, 0, None, None),
        ("theirs", "priced", 2, 0, cent * 5, Decimal(0)),
        ("totals", "unknown", 0, 0, None, None),
        ("unpriced", "unpriced", 7, 7, None, None),
    ]


def test_what_is_not_known_is_counted_apart_and_in_no_cost(client: Client) -> None:
    measures = (
        "sum(calls), sum(unknown_calls), sum(unpriced_calls), sum(quarantined_calls), sum(unbounded_calls),"
        " sum(unknown_tokens), sum(greatest_unpriced_cost)"
    )
    cent = Decimal("0.000001")
    greatest = cent * (2 * 5 // 2 + 10) + cent * 4 * 5 / 2  # the greatest rates: input 2.5, output 10
    for mart, day in (("fct_usage", "toDate(occurred_at)"), ("fct_daily_costs", "charge_day")):
        rows = client.query(f"select {measures} from analytics.{mart} where {day} = '2026-01-05'").result_rows
        assert rows == [(8, 4, 1, 1, 4, 3 + 4, greatest)], mart
    ((counted, bound),) = client.query(
        "select sum(calls), sum(greatest_unpriced_cost) from analytics.fct_calls"
        " where occurred_at = {at:DateTime64(6, 'UTC')}", parameters={"at": NOON},
    ).result_rows  # fmt: skip
    assert (counted, bound) == (8, cent * 15)
    costs = "select sumMap(greatest_quarantined_costs), sum(unbounded_quarantined) from analytics.fct_intake"
    ((amounts, unbounded),) = client.query(costs).result_rows
    assert amounts == {"USD": cent * (4 + 120) * 5 / 2} and unbounded == 0


def test_daily_costs_count_each_call_once(client: Client) -> None:
    where = "from analytics.fct_daily_costs where charge_day = '2026-01-05'"
    assert client.query(f"select sum(calls), sum(tokens), sum(unpriced_tokens) {where}").result_rows == [(8, 13, 7)]
    assert client.query(f"select sum(billed_cost) {where} and currency = 'USD'").result_rows == [
        (Decimal("0.0000175"),)
    ]


def test_what_was_corrected_counts_as_it_is_in_force(client: Client) -> None:
    day = "charge_day = '2026-01-07'"
    sums = client.query(f"select sum(calls), sum(tokens), sum(billed_cost) from analytics.fct_daily_costs where {day}")
    assert sums.result_rows == [(2, 230, Decimal("0.000575"))]
    rows = client.query(
        "select event_id, corrected_by, tokens, billed_cost from analytics.fct_calls"
        " where occurred_at = {at:DateTime64(6, 'UTC')} order by log_offset, event_index",
        parameters={"at": LATER},
    ).result_rows
    assert rows == [
        ("grown", "revision", 0, Decimal(0)), ("grown", "", 200, Decimal("0.0005")),
        ("wrong", "replacement", 0, Decimal(0)), ("wrong", "", 30, Decimal("0.000075")),
        ("gone", "reversal", 0, Decimal(0)),
    ]  # fmt: skip


def test_intake_is_complete(client: Client) -> None:
    ((received, rejected, accepted, *outcomes),) = client.query(
        "select sum(received), sum(rejected), sum(accepted), sum(counted), sum(duplicate), sum(conflict),"
        " sum(quarantined), sum(held) from analytics.fct_intake"
    ).result_rows
    assert (received, rejected, accepted, outcomes) == (29, 4, 25, [20, 1, 1, 2, 1]), "controls are no facts"


def test_decisions_and_alerts_can_be_read(client: Client) -> None:
    assert client.query("select count() from analytics.fct_decisions where decision = 'control.applied'").first_row == (
        4,
    )
    alerts = client.query("select alert_state, severity, repeats from analytics.fct_alerts order by log_offset, seq")
    assert alerts.result_rows[0] == ("raised", "warning", 4)


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_every_column_is_described(path: Path, client: Client) -> None:
    described = {
        model["name"]: {column["name"] for column in model["columns"] if column["description"]}
        for file in path.parent.glob("*.yml")
        for model in yaml.safe_load(file.read_text()).get("models", [])
        if model["description"]
    }
    columns = {row[0] for row in client.query(f"describe analytics.{path.stem}").result_rows}
    assert columns == described[path.stem]


def test_every_page_is_an_exposure() -> None:
    exposures = yaml.safe_load((ROOT / "dbt/models/marts/_exposures.yml").read_text())["exposures"]
    pages = {path.parent.name for path in (ROOT / "dashboards/pages").glob("*/page.py")}
    assert {exposure["name"] for exposure in exposures} == pages
    read = {
        mart for path in (ROOT / "dashboards").rglob("*.py") for mart in re.findall(r"[.\"](fct_\w+)", path.read_text())
    }
    exposed = {mart for exposure in exposures for mart in re.findall(r"fct_\w+", str(exposure["depends_on"]))}
    assert read == exposed


def test_a_domain_has_at_most_twenty_files() -> None:
    folders = {path.parent for path in (ROOT / "dbt" / "models").rglob("*.*")}
    assert not [folder for folder in folders if len(list(folder.iterdir())) > 20]


@pytest.fixture
def doubled_record(client: Client) -> Iterator[None]:
    """A record that is stored twice, for one test."""
    client.command("CREATE TABLE tally.kept_records AS tally.records")
    client.command("INSERT INTO tally.kept_records SELECT * FROM tally.records")
    client.command("INSERT INTO tally.records SELECT * FROM tally.records LIMIT 1")
    yield
    client.command("EXCHANGE TABLES tally.kept_records AND tally.records")
    client.command("DROP TABLE tally.kept_records")


@pytest.mark.usefixtures("doubled_record")
def test_the_command_holds_their_tests_against_what_is_stored_where_it_is_asked(settings: Settings) -> None:
    home = {"TALLY_HOME": str(settings.home)}
    assert tally("warehouse", "models", **home).returncode == 0
    done = tally("warehouse", "models", "--test", **home)
    assert done.returncode == 1 and "test.tallystick.unique_fct_records_record_key" in done.stderr, done.stderr
