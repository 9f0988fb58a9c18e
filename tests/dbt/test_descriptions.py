"""Descriptions of the marts: a grain each, a unit of every number, one place a fact; all are comments of ClickHouse."""

import json
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from ledger.settings import Settings
from tally.product.docs_server import make_handler
from tests.dashboards.server import ROOT, warehouse
from tests.tally.conftest import invoke
from tests.warehouse.plugin import InstallWarehouse
from warehouse.catalogue import Column, parse_marts, read_marts
from warehouse.client import connect

FILES = sorted(
    path for path in (ROOT / "dbt/models/marts").rglob("_*.yml") if not re.search("exposures|unit_tests", path.name)
)
DOC = re.compile(r"\{\{ doc\('(\w+)'\) \}\}")
BLOCKS = {
    match[1]: " ".join(match[2].split())
    for name in ("columns.md", "fields.md")
    for match in re.finditer(
        r"\{% docs (\w+) %\}(.*?)\{% enddocs %\}", (ROOT / "dbt/models" / name).read_text(), re.DOTALL
    )
}
TEXT = re.compile(r"(Nullable\(|LowCardinality\(|Array\(|Map\(LowCardinality\(String\), )*String\)*")
UNITS_BY_TYPE = {"Decimal": r"currency|\bshare\b|of the metric|of `unit`", "Date": r"\bUTC\b"}
UNITS_BY_NAME = {
    "_s": "seconds", "_ms": "milliseconds", "_percent": "percent", "tokens": "tokens", "calls": "calls",
    "_offset": "offset", "_index": "index", "_partition": "partition", "is_": "1 or 0",
}  # fmt: skip
"""Words that the unit of a column has, by an end (or beginning) of its name."""


def _resolve(description: str) -> str:
    return DOC.sub(lambda match: BLOCKS[match[1]], description)


def _find_defects(mart: dict[str, Any]) -> Iterator[str]:
    """Yield what the descriptions of a mart lack."""
    name, description = mart["name"], _resolve(mart.get("description", ""))
    columns = [
        (name, description, column["name"], column["data_type"], _resolve(column.get("description", "")))
        for column in mart["columns"]
    ]
    (parsed,) = parse_marts(columns)
    if not parsed.grain or not description.startswith("One row per "):
        yield f"{name}: its description begins with its grain, `One row per ….`"
    for column in parsed.columns:
        yield from (f"{name}.{column.name}: {defect}" for defect in _find_column_defects(column))


def _find_column_defects(column: Column) -> Iterator[str]:
    if not column.description:
        yield "it has no description"
    if TEXT.fullmatch(column.type):
        if column.unit:
            yield "a text has no unit"
        return
    if not column.unit:
        yield "its description ends with `Unit: ….`"
        return
    expected = [word for kind, word in UNITS_BY_TYPE.items() if kind in column.type]
    expected += [
        word
        for part, word in UNITS_BY_NAME.items()
        if (column.name.startswith(part) if part.endswith("_") else column.name.endswith(part))
    ]
    if not all(re.search(word, column.unit) for word in expected):
        yield f"its unit is {column.unit!r}, and names {' and '.join(expected)}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_mart_states_its_grain_and_its_columns_their_units(path: Path) -> None:
    for mart in yaml.safe_load(path.read_text())["models"]:
        assert list(_find_defects(mart)) == []


@pytest.mark.parametrize(
    ("mart", "defect"),
    [
        ({"description": "Usage by day."}, "begins with its grain"),
        ({"data_type": "Int64", "description": "Counted calls; a count."}, "ends with `Unit: ….`"),
        ({"data_type": "Int64", "description": "Unit: calls."}, "no description"),
        ({"data_type": "Int64", "description": "Counted calls. Unit: tokens."}, "names calls"),
        ({"data_type": "Nullable(Decimal(38, 12))", "description": "Cost. Unit: calls."}, "names currency"),
        ({"data_type": "LowCardinality(String)", "description": "Team. Unit: calls."}, "a text has no unit"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_defect_is_found(mart: dict[str, str], defect: str) -> None:
    column = {"name": "calls", "data_type": "String", "description": "Text."} | mart
    described = {"name": "fct_x", "description": "One row per call.", "columns": [column]}
    if "data_type" not in mart:
        described["description"] = mart["description"]
    assert [line for line in _find_defects(described) if defect in line]


def test_a_description_of_several_marts_stands_once() -> None:
    texts = Counter[str]()
    for path in FILES:
        written = re.sub(
            r"# begin .*?# end ", "", path.read_text(), flags=re.DOTALL
        )  # tools/dimensions.py writes these
        texts.update({text for text in re.findall(r'description: "(.*)"', written) if not DOC.fullmatch(text)})
    assert [text for text, count in texts.items() if count > 1] == [], "dbt/models/columns.md is the place for them"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory, install_warehouse: InstallWarehouse) -> Iterator[Settings]:
    with warehouse(install_warehouse(tmp_path_factory.mktemp("catalogue")).home) as settings:
        yield settings


def test_clickhouse_has_every_description(settings: Settings) -> None:
    marts = {mart.name: mart for mart in read_marts(connect(settings))}
    described = {mart["name"]: mart for path in FILES for mart in yaml.safe_load(path.read_text())["models"]}
    assert marts.keys() == described.keys()
    for name, mart in marts.items():
        assert mart.description == _resolve(described[name]["description"])
        assert [
            (column.name, f"{column.description} Unit: {column.unit}." if column.unit else column.description)
            for column in sorted(mart.columns)
        ] == sorted((column["name"], _resolve(column["description"])) for column in described[name]["columns"])


def test_the_command_lists_marts_and_columns(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tally.product.catch_up.warehouse_with_models", nullcontext)  # it runs already
    home = {"TALLY_HOME": str(settings.home)}
    marts = {mart["name"]: mart for mart in json.loads(invoke("sql", "--marts", "--json", **home).stdout)}
    daily = marts["fct_daily_costs"]
    assert daily["grain"] == "per day of the event time (UTC), organization, dimensions, class and currency"
    units = {column["name"]: column["unit"] for column in daily["columns"]}
    assert (units["calls"], units["billed_cost"], units["team"]) == ("calls", "`currency`, 12 decimals, exact", "")
    assert "fct_budgets" in invoke("sql", "--marts", **home).stdout
    assert "Length of the rolling window." in invoke("sql", "--columns", "analytics.fct_budgets", **home).stdout
    unknown = invoke("sql", "--columns", "fct_budget", **home)
    assert unknown.returncode == 2 and "--columns fct_budget: no such mart, of dim_agreements" in unknown.stderr


def test_dbt_builds_its_documentation_as_a_page_that_loads_nothing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tally.product.docs_server.warehouse_with_models", nullcontext)
    home = {"TALLY_HOME": str(settings.home)}
    written = invoke("warehouse", "docs", "--output", str(tmp_path / "models.html"), **home)
    assert written.stdout.endswith("models.html.\n"), written.stderr
    page = (tmp_path / "models.html").read_text()
    assert "Length of the rolling window. Unit: seconds." in page
    assert not re.search(r'(?:src|href)="https?:[^"]+\.(?:js|css|woff2?)"', page)
    assert '"send_anonymous_usage_stats": false' in page
    refused = invoke("warehouse", "docs", "--output", str(tmp_path), **home)
    assert refused.returncode == 2 and f"cannot write --output {tmp_path}" in refused.stderr


def test_the_page_is_served_at_its_root_alone() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), make_handler(b"<html>")) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}"
        assert httpx.get(f"{address}/?x").content == b"<html>"
        assert httpx.get(f"{address}/manifest.json").status_code == 404
        server.shutdown()
        thread.join()
