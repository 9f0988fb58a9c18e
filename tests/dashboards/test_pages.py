"""The pages over a real warehouse, without a browser."""

import json
import re
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from audit import sequence_gaps
from dashboards.components import format
from dashboards.pages.trust import queries
from dashboards.sources import loopback
from dashboards.sources import persons as names
from ledger.home.persons import Persons
from ledger.log import Draft
from ledger.log.sqlite.log import EmbeddedLog
from ledger.log.topics import EVENTS
from ledger.settings import Settings
from tests.dashboards.feed import Feed, call, corrected
from tests.dashboards.screenshots import open_page, read_html, read_metrics
from tests.dashboards.server import warehouse
from tests.warehouse.plugin import InstallWarehouse
from warehouse.client import connect

Full = tuple[Settings, Feed]


def test_the_headline_is_the_sum_of_the_entries(full: Full, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, _ = full
    ((spend, tokens, calls),) = (
        connect(settings)
        .query(
            "select (select sum(billed_cost) from tally.entries), (select sum(quantity) from tally.entries),"
            " (select count() from tally.events where outcome = 'counted' and kind = 'inference')"
        )
        .result_rows
    )
    figures = read_metrics(open_page(settings, monkeypatch, period="all"))
    assert isinstance(spend, Decimal)
    assert figures["Spend"] == format.money(spend, "USD")
    assert figures["Tokens"] == format.short(tokens)
    assert figures["Calls"] == format.count(calls)


def test_the_address_chooses_the_view(full: Full, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, _ = full
    app = open_page(settings, monkeypatch, period="all", team=["support"], by="model", show="tokens")
    ((calls,),) = (
        connect(settings)
        .query("select count() from tally.events where outcome = 'counted' and kind = 'inference' and team = 'support'")
        .result_rows
    )
    assert read_metrics(app)["Calls"] == format.count(calls)
    assert "By model" in [heading.value for heading in app.subheader]
    assert "team=support" in read_html(app), "the links of the table keep the filter"


def test_a_link_to_a_team_that_is_not_there_shows_nobody_elses_spend(
    full: Full, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_page(full[0], monkeypatch, period="all", team=["nobody"])
    assert "No calls match these filters in this period" in app.info[0].value
    assert not app.metric


def test_a_call_that_used_nothing_is_not_unpriced(full: Full, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, feed = full
    feed.add([call("refused", datetime.now(UTC), model="gpt-4o", status="refused")])
    assert read_metrics(open_page(settings, monkeypatch, "call", source="gateway", id="refused"))["Spend"] == "–"


def test_unpriced_is_not_zero(full: Full, monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_page(full[0], monkeypatch, period="all", model=["in-house-7b"])
    assert read_metrics(app)["Spend"] == "unpriced"
    assert "without a price" in read_html(app) and "no upper bound" in read_html(app)


def test_what_is_not_known_stands_beside_the_spend_and_in_no_figure(
    full: Full, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, feed = full
    now = datetime.now(UTC)
    before = read_metrics(open_page(settings, monkeypatch, period="all"))["Spend"]
    feed.add([
        call("told", now, team="quiet", model="gpt-4o", reported_tokens={"input": 1_000_000}, max_tokens=100_000),
        call("silent", now, team="quiet", model="gpt-4o", usage_source="missing", calls=3),
        call("zero", now, team="quiet", model="gpt-4o", tokens={"input": 0}),
    ])  # fmt: skip
    app = open_page(settings, monkeypatch, period="all", team=["quiet"], calls="cost not known")
    page_html = read_html(app)
    assert "4 calls without usage" in page_html and "1,000,000 tokens told" in page_html
    assert "at most $3.50, and 3 calls without an upper bound" in page_html
    assert read_metrics(app)["Spend"] == "unpriced" and "zero" not in page_html
    assert read_metrics(open_page(settings, monkeypatch, period="all"))["Spend"] == before
    shown = open_page(settings, monkeypatch, "call", source="gateway", id="told")
    assert "could not be read" not in shown.warning[0].value and "totals" in shown.warning[0].value
    assert "at most $3.50 at list price" in read_html(shown)


CONTRACT = """
name: spend
currency: USD
terms: [{model: gpt-4o-mini, discount: 20}, {model: gemini-2.5-flash, rates: {input: 0.25}}]
commitments: [{name: units, model: gpt-4o, period: contract, units: 1000000, rates: {input: 1.5}}]
"""


def test_the_cost_per_million_tokens_is_ours_and_what_contracts_save_stands_apart(
    install_warehouse: InstallWarehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1 M at 2.50 and at 0.15 by list; 1.50 and 0.12 in effect, of which 0.12 is billed. The customer's 2.50 is in
    none of these, nor are the customer's tokens."""
    with warehouse(install_warehouse(tmp_path).home) as settings, closing(Feed(settings)) as feed:
        feed.begin()
        feed.sign(CONTRACT)
        now = datetime.now(UTC)
        million = {"input": 1_000_000}
        feed.add([
            call("covered", now, team="a", provider="openai", model="gpt-4o", tokens=million),
            call("discounted", now, team="a", provider="openai", model="gpt-4o-mini", tokens=million),
            call("own", now, team="a", provider="openai", model="gpt-4o", payer="customer", tokens=million),
        ])  # fmt: skip
        app = open_page(settings, monkeypatch, period="all")
        figures, page_html = read_metrics(app), read_html(app)
    assert figures["Spend"] == "$0.1200" and figures["Paid by customers"] == "$2.50"
    assert figures["Saved by contracts"] == "$1.03"
    assert "$0.8100" in page_html, "1.62 for 2 million tokens"
    (hint,) = (metric.help for metric in app.metric if metric.label == "Spend")
    assert "0.12" in hint and "$1.62" in hint, hint


def test_a_call_of_another_century_takes_no_figure_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, install_warehouse: InstallWarehouse
) -> None:
    with warehouse(install_warehouse(tmp_path).home) as settings, closing(Feed(settings)) as feed:
        feed.begin()
        for year in (2000, 2026, 2199):
            feed.add([call(f"y{year}", datetime(year, 1, 1, tzinfo=UTC), model="gpt-4o", tokens={"input": 10})])
        # A call of the future is held, and one whose totals are wrong as well has an amount nevertheless.
        tokens, reported = {"input": 10}, {"input": 9}
        ahead = datetime(2199, 1, 1, tzinfo=UTC)
        feed.add([call("wrong", ahead, model="gpt-4o", tokens=tokens, reported_tokens=reported)])
        app = open_page(settings, monkeypatch, period="all")
        assert not app.info, "no part of the page is away"
        assert "1 call in quarantine" in read_html(app)


def test_an_empty_period_names_one_that_is_not(full: Full, monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_page(full[0], monkeypatch, period="range", range=["2023-01-01", "2023-01-02"])
    assert "No calls in this period" in app.info[0].value
    assert "?period=all" in read_html(app)


def test_nothing_that_an_event_says_is_read_as_html(full: Full, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, feed = full
    markup = "<img src=x onerror=alert(1)>"
    feed.add([call("named", datetime.now(UTC), team=markup, model="gpt-4o", tokens={"input": 1})])
    page_html = read_html(open_page(settings, monkeypatch, period="hour"))
    assert "&lt;img" in page_html and "<img" not in page_html


def test_what_a_source_numbered_and_never_arrived_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLY_HOME", str(tmp_path))

    def show_gaps() -> AppTest:
        script = "from dashboards.pages.trust import page\npage._show_gaps()"
        app = AppTest.from_string(script, default_timeout=30).run()
        assert not app.exception, app.exception
        return app

    def add(*numbers: int) -> None:
        lines = [json.dumps({"source": "app <b>", "id": "x", "sequence": number}).encode() for number in numbers]
        log.append(EVENTS, [Draft(0, "acme", {"organization": "acme", "channel": "http"}, b"\n".join(lines))])
        sequence_gaps.follow(log, tmp_path)

    assert "have not been checked yet" in text(show_gaps())
    with closing(EmbeddedLog(tmp_path)) as log:
        add(1, 2, 5, 9)
        assert "app &lt;b&gt;" in read_html(show_gaps()) and "3–4, 6–8" in read_html(show_gaps())
        add(3, 4, 6, 7, 8)
    assert "No gaps" in text(show_gaps())


@pytest.mark.parametrize(("bind", "is_shown"), [("127.0.0.1", True), ("0.0.0.0", False)])
def test_names_are_for_who_sits_at_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bind: str, is_shown: bool
) -> None:
    monkeypatch.setenv("TALLY_HOME", str(tmp_path))
    with closing(Persons(tmp_path)) as persons:
        persons.remember("acme", "p_1", "alice")
    monkeypatch.setattr(
        names,
        "find_exposure",
        lambda: loopback.find_connection_exposure(bind, {"host": "localhost:1", "origin": "http://localhost:1"}, 1),
    )
    names_seen = names.list_names(
        "acme", {"user": "p_1", "customer": "p_2", "acting_for": ["p_1", "p_3"], "team": "p_1"}
    )
    assert names_seen == ([("user (name)", "alice"), ("acting_for (names)", '["alice"]')] if is_shown else [])
    assert names.list_names("beta", {"user": "p_1"}) == [] == names.list_names("acme", {})


def text(app: AppTest) -> str:
    return "\n".join(caption.value for caption in app.caption)


def test_trust_adds_up(full: Full, monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_page(full[0], monkeypatch, "trust")
    page_html = read_html(app)
    for word in ("received", "accepted", "rejected", "counted", "duplicate", "conflict", "quarantined"):
        assert word in page_html
    assert "≠" not in page_html
    assert "token_totals_mismatch" in page_html and "content_mismatch" in page_html and "in-house-7b" in page_html
    assert read_metrics(app) == {"Fold lag": "0", "Sink lag": "0"}
    assert "no difference" in app.success[0].value and "3,007" in app.success[0].value


def test_incidents_are_counted_by_state(full: Full, monkeypatch: pytest.MonkeyPatch) -> None:
    ((alerts,),) = connect(full[0]).query("select uniqExact(alert) from tally.alerts").result_rows
    ((crossings,),) = (
        connect(full[0])
        .query("select count() from analytics.fct_budget_crossings where threshold_percent >= 100")
        .result_rows
    )
    app = open_page(full[0], monkeypatch, "incidents")
    figures = read_metrics(app)
    assert sum(int(figures[state]) for state in ("Active", "Closed", "History")) == alerts + crossings
    assert "session s-loop" in read_html(app)


def test_trust_names_the_fields_that_were_left_out(full: Full, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, feed = full
    for incarnation in ("0123456789ab", "ba9876543210"):
        feed.add([call("odd", datetime.now(UTC), f"checkout/{incarnation}", left_out=["?", "latency_ms", "tags.<b>"])])
    page_html = read_html(open_page(settings, monkeypatch, "trust"))
    row = re.search(r"<tr>(?:(?!<tr>).)*?>latency_ms<.*?</tr>", page_html, re.DOTALL)
    assert row and ">checkout<" in row[0] and ">2<" in row[0] and "Send a whole number of milliseconds" in row[0]
    assert "tags.&lt;b&gt;" in page_html and "Its name may be content" in page_html


def test_trust_says_where_every_field_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "list_left_out_fields", lambda rows: [])
    app = AppTest.from_string("from dashboards.pages.trust import left_out\nleft_out.draw_fields()").run()
    assert not app.exception and "Every field that a source sent fits." in text(app)


def test_a_call_shows_its_entries_and_where_it_stands(full: Full, monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_page(full[0], monkeypatch, "call", source="gateway", id="loop-2")
    page_html = read_html(app)
    assert read_metrics(app)["Tokens"] == "52,300"
    assert "$0.156<" in page_html and "$0.000003<" in page_html and "test/anthropic/claude-sonnet-4-5#0" in page_html
    assert "id=loop-5" in page_html, "its session's calls are links"
    assert "tally.events" in page_html and "lookup_order" in page_html


@pytest.mark.parametrize("query", [{"position": "1-2"}, {"position": "99-1-1"}, {"source": "a", "id": "' or 1=1"}])
def test_a_link_that_was_cut_short_is_a_sentence(
    full: Full, monkeypatch: pytest.MonkeyPatch, query: dict[str, str]
) -> None:
    app = open_page(full[0], monkeypatch, "call", **query)
    assert "no event" in app.info[0].value


def test_a_conflict_leads_to_the_first_one(full: Full, monkeypatch: pytest.MonkeyPatch) -> None:
    ((partition, offset, index),) = (
        connect(full[0])
        .query("select log_partition, log_offset, event_index from analytics.fct_outcomes where outcome = 'conflict'")
        .result_rows
    )
    app = open_page(full[0], monkeypatch, "call", position=f"{partition}-{offset}-{index}")
    assert "Conflict" in app.warning[0].value
    assert f"position={partition}-{offset}-0" in read_html(app)


def test_an_empty_ledger_says_how_to_begin(empty: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_page(empty, monkeypatch)
    assert [heading.value for heading in app.header] == ["The ledger is empty"]
    assert any("tally import" in code.value for code in app.code)


def test_a_warehouse_that_is_away_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_page(Settings(home=tmp_path / "nowhere"), monkeypatch)
    assert "does not answer" in app.info[0].value
    assert not (tmp_path / "nowhere").exists(), "looking makes no home"


def test_a_call_that_was_reversed_says_so_and_a_correction_without_effect_why(
    full: Full, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, feed = full
    feed.add(corrected(datetime.now(UTC)))
    app = open_page(settings, monkeypatch, "call", source="gateway", id="gone")
    assert "Reversed" in app.warning[0].value and read_metrics(app)["Tokens"] == "0"
    assert "-400" in read_html(app)
    assert "no event before it has this identity" in read_html(open_page(settings, monkeypatch, "trust"))
