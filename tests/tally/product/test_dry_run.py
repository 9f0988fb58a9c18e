"""A dry run: the events and costs of an import, and nothing written."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ingest.controls.contracts import sign_contract
from ingest.controls.models import alias_model
from ingest.controls.prices import adopt_price_book
from ingest.files.importer import Options, Summary, import_files
from ledger.log.sqlite.log import EmbeddedLog
from ledger.log.topics import EVENTS
from ledger.money import pico
from ledger.pricing.contract_file import parse_contract
from ledger.pricing.price_book_file import parse_book
from ledger.settings import Settings
from streams.replay import replay_outcomes
from tally.product import dry_run
from tally.product.dry_run import Report, run_dry
from tests.conftest import find_test_data
from tests.ingest.build import LINE, Kept, azure
from tests.streams.build import BOOK, DIGEST, DOCUMENTS, control
from tests.tally.conftest import tally

SHEET: dict[str, Any] = {
    "format": "csv", "source": "s", "id": ["id"], "time": {"column": "at"},
    "fields": {"model": "model", "claimed_cost": "cost", "team": "team"},
    "tokens": {"input": "in", "output": "out"},
}  # fmt: skip
HEAD = "id,at,model,in,out,cost,team\n"


def row(id: Any, model: str = "m1", input: int = 10, output: int = 2, cost: str = "", team: str = "") -> str:
    return f"{id},2026-01-05T12:00:00Z,{model},{input},{output},{cost},{team}\n"


def rate(
    folder: Path, content: str, sheet: dict[str, Any] = SHEET, log: EmbeddedLog | None = None
) -> tuple[Summary, Report]:
    (folder / "file.csv").write_text(content)
    (folder / "map.yaml").write_text(yaml.safe_dump(sheet))
    options = Options(mapping=folder / "map.yaml")
    return run_dry(log, Settings(home=folder / "home"), [folder / "file.csv"], options, lambda done_bytes, total: None)


@pytest.fixture
def priced(tmp_path: Path) -> Iterator[EmbeddedLog]:
    """A log whose book prices m1 at a dollar a million tokens of input, and ten of output."""
    with closing(EmbeddedLog(tmp_path / "home")) as log:
        adopt_price_book(log, Settings(home=tmp_path / "home"), parse_book(BOOK, "the test"))
        yield log


def test_the_books_of_the_home_price_the_events_and_nothing_is_written(tmp_path: Path, priced: EmbeddedLog) -> None:
    files = {path: path.stat().st_size for path in (tmp_path / "home").rglob("*")}
    ends = priced.ends(EVENTS)
    content = HEAD + row(1, team="ann@example.com") + row(2, "m9") + row(1) + row(3, input=-1)
    summary, report = rate(tmp_path, content, log=priced)
    assert (summary.accepted, summary.rejected) == (3, 1)
    assert report.outcomes == {"counted": 2, "conflict": 1}
    first, second, _ = report.first_events
    assert (first.cost, first.currency, first.pricing) == (pico("0.00003"), "USD", "priced")
    assert first.event["data"]["team"].startswith("p_") and second.cost is None
    assert report.models["m1"].quantities == {"input": 10, "output": 2} and report.models["m1"].calls == 1
    assert report.models["m9"].unpriced == {"input": 10, "output": 2} and not report.models["m9"].costs
    assert {path: path.stat().st_size for path in (tmp_path / "home").rglob("*")} == files
    assert priced.ends(EVENTS) == ends


CONTRACT = """
name: spend
currency: USD
terms: [{discount: 50, model: m1}]
commitments: [{name: units, period: contract, units: 15, rates: {input: 0.25}}]
"""


def test_what_the_log_used_of_a_commitment_is_used(tmp_path: Path, priced: EmbeddedLog) -> None:
    """Ten units of 15 are used: five of the ten are left, so half of the input is billed, and the output."""
    settings = Settings(home=tmp_path / "home")
    sign_contract(priced, settings, settings.organization, parse_contract(CONTRACT, "the test"))
    (tmp_path / "map.yaml").write_text(yaml.safe_dump(SHEET))
    (tmp_path / "first.csv").write_text(HEAD + row(1))
    options = Options(mapping=tmp_path / "map.yaml")
    import_files(priced, settings, [tmp_path / "first.csv"], options, lambda done_bytes, total: None)
    _, report = rate(tmp_path, HEAD + row(2), log=priced)
    assert report.models["m1"].costs == {"USD": pico("0.000015")}
    assert report.models["m1"].billed_costs == {"USD": pico("0.0000125")}
    (event,) = report.first_events
    assert (event.cost, event.billed) == (pico("0.000015"), pico("0.0000125"))


def test_a_home_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    _, report = rate(tmp_path, HEAD + row(1, "gpt-4o", 1_000_000, 0))
    assert report.models["gpt-4o"].costs == {"USD": pico("2.5")} and not (tmp_path / "home").exists()


def test_every_format_has_a_dry_run(tmp_path: Path) -> None:
    (tmp_path / "trace.csv").write_bytes(azure(LINE, LINE))
    options = Options(sets=["model=gpt-4o"])
    summary, report = run_dry(None, Settings(home=tmp_path / "home"), [tmp_path / "trace.csv"], options, print)
    assert summary.accepted == 2 and report.models["gpt-4o"].quantities == {"input": 2 * 4808, "output": 20}


def test_claims_that_differ_are_counted_and_how_much(tmp_path: Path, priced: EmbeddedLog) -> None:
    costs = ["0.00003", "0.0000302", "0.00004", "9", "Included", ""]
    content = HEAD + "".join(row(number, cost=cost) for number, cost in enumerate(costs))
    summary, report = rate(tmp_path, content, log=priced)
    claims = report.claims["USD"]
    assert (claims.compared, claims.differing, claims.largest_id) == (4, 2, "3")
    assert claims.claimed == pico("9.0001002") and claims.cost == 4 * pico("0.00003")
    assert summary.files[0].left_out == {"claimed_cost": 1}


def test_of_an_event_that_grows_its_greatest_revision_counts(tmp_path: Path, priced: EmbeddedLog) -> None:
    head = "id,at,in,cost,version\n"
    rows = [f"{id},2026-01-05T12:00:00Z,{input},{cost},{version}\n" for id, input, cost, version in (
        (1, 10, "9", 1), (1, 30, "0.00003", 3), (1, 20, "9", 2), (2, 5, "", 1), (2, 7, "", 2),
    )]  # fmt: skip
    sheet = SHEET | {
        "tokens": {"input": "in"},
        "fields": {"model": {"value": "m1"}, "revision": "version", "claimed_cost": "cost"},
    }
    _, report = rate(tmp_path, head + "".join(rows), sheet, log=priced)
    totals, claims = report.models["m1"], report.claims["USD"]
    assert (totals.events, totals.calls, totals.quantities) == (2, 2, {"input": 37})
    assert totals.costs == {"USD": pico("0.000037")} and totals.pricing == {"priced": 2}
    assert (claims.compared, claims.differing, claims.claimed) == (1, 0, pico("0.00003"))


def test_many_models_are_summed_in_bounded_memory(
    tmp_path: Path, priced: EmbeddedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dry_run, "MAX_MODELS", 2)
    _, report = rate(tmp_path, HEAD + "".join(row(number, f"m-{number}") for number in range(5)), log=priced)
    assert {model: totals.events for model, totals in report.models.items()} == {
        "m-0": 1, "m-1": 1, dry_run.OTHER_MODELS: 3,
    }  # fmt: skip


CALLS = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6), st.sampled_from(["m1", "m9"])), min_size=1)


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=20)
@given(calls=CALLS)
def test_single_calls_and_their_aggregate_agree_where_rates_are_flat(
    tmp_path: Path, priced: EmbeddedLog, calls: list[tuple[int, int, str]]
) -> None:
    singles = HEAD + "".join(row(number, model, input, output) for number, (input, output, model) in enumerate(calls))
    sums: dict[str, Counter[str]] = {}
    for input, output, model in calls:
        sums.setdefault(model, Counter()).update(n=1, input=input, output=output)
    aggregate = "model,at,n,in,out\n" + "".join(
        f"{model},2026-01-05,{sum_['n']},{sum_['input']},{sum_['output']}\n" for model, sum_ in sums.items()
    )
    sheet = SHEET | {
        "id": ["at", "model"], "time": {"column": "at", "zone": "UTC"}, "calls": "n",
        "fields": {"model": "model", "period_s": {"value": 86400}},
    }  # fmt: skip
    _, single = rate(tmp_path, singles, log=priced)
    _, summed = rate(tmp_path, aggregate, sheet, log=priced)
    for model in sums:
        one, other = single.models[model], summed.models[model]
        assert (one.calls, +one.quantities, +one.costs, +one.unpriced) == (
            other.calls, +other.quantities, +other.costs, +other.unpriced,
        )  # fmt: skip


def test_a_dry_run_says_what_an_import_does(tmp_path: Path, priced: EmbeddedLog) -> None:
    content = HEAD + "".join(row(number % 7, "m1" if number % 3 else "m9", number) for number in range(20))
    _, report = rate(tmp_path, content, log=priced)
    log = Kept()
    options = Options(mapping=tmp_path / "map.yaml")
    import_files(log, Settings(home=tmp_path / "home"), [tmp_path / "file.csv"], options)
    adopted = control("book", "price_book.adopted", name="test", document=DIGEST)
    records = [record._replace(time_ms=int(time.time() * 1000)) for record in log.records["tally.events"]]
    first = records[0]._replace(offset=-1, value=adopted)
    lines = [line for line in replay_outcomes([first, *records], DOCUMENTS) if line["kind"] == "inference"]
    assert Counter(line["outcome"] for line in lines) == report.outcomes
    cost = sum(pico(part["list_cost"]) for line in lines for part in line.get("lines", []) if part["list_cost"])
    assert report.models["m1"].costs == {"USD": cost}


def test_the_command_prints_the_report(tmp_path: Path) -> None:
    (tmp_path / "file.csv").write_text(HEAD + row(1, "gpt-4o", 1_000_000, 0, "9", "[red]") + row("x", input=-1))
    (tmp_path / "map.yaml").write_text(yaml.safe_dump(SHEET))
    arguments = ["import", str(tmp_path / "file.csv"), "--mapping", str(tmp_path / "map.yaml"), "--dry-run"]
    done = tally(*arguments, TALLY_HOME=str(tmp_path / "home"))
    assert done.returncode == 0, done.stderr
    assert "Dry run: nothing was appended." in done.stdout and "input 1,000,000" in done.stdout
    assert "2.5 USD" in done.stdout and "team=[red]" in done.stdout and "received 2 = accepted 1" in done.stdout
    assert "line 3: in is below zero" in done.stderr and "1 of 1 claimed costs differ" in done.stderr
    facts = json.loads(tally(*arguments, "--json", TALLY_HOME=str(tmp_path / "home")).stdout)
    assert facts["dry_run"] and facts["counted"] == 1 and facts["first_events"][0]["cost"] == "2.5"
    assert facts["models"][0]["costs"] == {"USD": "2.5"} and facts["claims"][0]["largest_difference"] == "6.5"
    assert not (tmp_path / "home").exists()


REPORTS: dict[str, tuple[dict[str, Any], str, int]] = {
    "typo": ({"fields": {"model": "model", "team": "team"},
                  "tokens": {"input": "prompt_tokens", "output": "completion_tokens"}}, "0.0135", 2),
    "coll": ({}, "7.5", 2),
    "nums": ({
        "format": "csv", "delimiter": ";", "source": "nums", "id": ["id"], "time": {"column": "time"},
        "fields": {"model": "model", "claimed_cost": "cost"}, "tokens": {"input": "input", "output": "output"},
        "numbers": {"thousands": ",", "columns": {"cost": {"decimal": [".", ","], "currency": {"$": "USD"}}}},
        "absent": ["-"],
    }, "0.033", 9),
    "times": ({
        "format": "csv", "source": "times", "id": ["id"], "fields": {"model": "model"}, "tokens": {"input": "input"},
        "time": {"column": "time", "unit": ["iso", "s"], "format": "%b %d, %Y, %I:%M:%S %p", "zone": "UTC"},
    }, "0.02", 8),
}  # fmt: skip
"""Files of public reports by name: the mapping, the cost worked out by hand, and the rows that are taken."""


def read_report(name: str) -> str:
    return find_test_data(f"reports/files/{name}").read_text()


@pytest.mark.traces
@pytest.mark.parametrize("name", REPORTS)
def test_files_of_reports_cost_what_they_should(tmp_path: Path, name: str) -> None:
    changes, cost, rows = REPORTS[name]
    sheet = yaml.safe_load(read_report(f"{name}.yaml")) if name in ("typo", "coll") else {}
    summary, report = rate(tmp_path, read_report(f"{name}.csv"), sheet | changes)
    assert (summary.accepted, report.outcomes) == (rows, {"counted": rows})
    assert report.models["gpt-4o"].costs == {"USD": pico(cost)}
    if name == "times":
        assert {rated.event["time"][:19] for rated in report.first_events} == {"2026-11-02T10:00:00"}
    if name == "nums":
        assert report.claims["USD"].differing == 0 and report.claims["USD"].compared == 5


def test_a_dry_run_knows_the_aliases_in_force(priced: EmbeddedLog, tmp_path: Path) -> None:
    _, before = rate(tmp_path, HEAD + row(1, "prod-chat"), log=priced)
    assert before.models["prod-chat"].pricing == {"unpriced": 1}
    provider = next(iter(yaml.safe_load(BOOK)["providers"]))["id"]
    alias_model(priced, Settings(home=tmp_path / "home"), "Prod-Chat", provider, "m1")
    _, report = rate(tmp_path, HEAD + row(1, "prod-chat"), log=priced)
    assert report.models["prod-chat"].pricing == {"priced": 1}
