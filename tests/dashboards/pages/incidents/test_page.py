"""The page Incidents over a real warehouse, without a browser."""

import re
from datetime import UTC, datetime

import pytest

from ledger.settings import Settings
from tests.dashboards.feed import ORGANIZATION, Feed, control
from tests.dashboards.screenshots import open_page, read_html, read_metrics
from warehouse.client import connect

Limited = tuple[Settings, Feed]


def read_cells(page_html: str, text: str) -> list[str]:
    """Return the cells of the first row with a text, without their HTML."""
    row = next(row for row in page_html.split("<tr>") if text in row)
    return [re.sub(r"<[^>]*>", "", cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", row)]


def find_alert(settings: Settings, session: str) -> tuple[str, list[str]]:
    ((alert, evidence),) = (
        connect(settings)
        .query(
            "select episode_id, evidence_positions from analytics.fct_episodes where session = {session:String}",
            {"session": session},
        )
        .result_rows
    )
    return alert, evidence


def test_it_says_what_is_active_and_what_it_costs_an_hour(limited: Limited, monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_page(limited[0], monkeypatch, "incidents")
    page_html = read_html(app)
    assert "What is running away now, and what does it cost an hour?" in app.header[0].value
    assert "1 runaway is active, at $" in page_html and "an hour. 1 budget is at its limit." in page_html
    assert read_metrics(app) == {"Active": "2", "Closed": "1", "History": "0"}
    open_, ended = (read_cells(page_html, f"session s-{name}") for name in ("open", "ended"))
    assert "repeats look &lt;up&gt;" in open_[0] and open_[4:7] == ["$1.25", "5", "20 s"] and open_[7] == "active"
    assert "reviewer repeated look &lt;up&gt;" in ended[0] and ended[4:6] == ["$1.25", "4"]
    assert ended[7] == "closed: the session had new results"
    assert page_html.index("session s-open") < page_html.index("agent shopper reached"), "by cost an hour"


def test_a_kind_is_chosen_in_the_address(limited: Limited, monkeypatch: pytest.MonkeyPatch) -> None:
    page_html = read_html(open_page(limited[0], monkeypatch, "incidents", kind="budgets at their limit"))
    assert "agent shopper reached the limit" in page_html and "session s-open" not in page_html


def test_a_runaway_leads_to_its_calls(limited: Limited, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, _ = limited
    alert, evidence = find_alert(settings, "s-ended")
    for name in ("episode", "alert"):
        app = open_page(settings, monkeypatch, "incidents", **{name: alert})
        figures = read_metrics(app)
        assert (figures["State"], figures["Repeats"], figures["Cost"]) == ("closed", "4", "$1.25")
    page_html = read_html(app)
    assert len(evidence) == 3 and all(f"position={position}" in page_html for position in evidence)
    assert page_html.count("$0.2500<") == 5, "a row a call, of which one brought something new"
    assert 'class="clocks"' in page_html and "Ended by itself" in page_html and 'class="bars"' in page_html
    assert "No such incident" in open_page(settings, monkeypatch, "incidents", episode="nothing").info[0].value


def test_what_people_do_stands_on_its_clocks(limited: Limited, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, feed = limited
    alert, _ = find_alert(settings, "s-open")
    app = open_page(settings, monkeypatch, "incidents", episode=alert)
    codes = [code.value for code in app.code]
    assert f"tally alerts ack {alert} --org {ORGANIZATION}" in codes and "Acknowledged" not in read_html(app)
    feed.add([control("ack", "alert.acknowledged", alert=alert)], channel="control")
    page_html = read_html(open_page(settings, monkeypatch, "incidents", episode=alert))
    assert "Acknowledged" in page_html and "active, acknowledged" in page_html
    feed.add(
        [
            control("done", "alert.resolved", alert=alert, reason="stopped <it>"),
            control("label", "alert.labeled", alert=alert, label="true"),
        ],
        channel="control",
    )
    app = open_page(settings, monkeypatch, "incidents", episode=alert)
    assert read_metrics(app)["State"] == "closed"
    page_html = read_html(app)
    assert "Decided" in page_html and "labeled true" in page_html
    assert not any("ack" in code.value for code in app.code), "nobody looks after what is over"
    page_html = read_html(open_page(settings, monkeypatch, "incidents"))
    assert read_cells(page_html, "too few labels")[3:5] == ["1", "0"]
    assert f"{datetime.now(UTC):%Y-%m}" in page_html
