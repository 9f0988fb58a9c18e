"""The page of budgets over a real warehouse, without a browser."""

import re
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from dashboards.components import format
from ledger.log import partition_of
from ledger.settings import Settings
from streams.embedded.store import Store
from streams.folds.budget_windows import read_budget
from streams.folds.chain import NOW
from tests.dashboards.feed import MARKUP_NAME, ORGANIZATION, Feed, budget, call, control
from tests.dashboards.screenshots import open_page, read_html, read_metrics

Limited = tuple[Settings, Feed]


def read_cells(page_html: str, text: str) -> list[str]:
    """Return the cells of the first row with a text, without their HTML."""
    row = next(row for row in page_html.split("<tr>") if text in row)
    return [re.sub(r"<[^>]*>", "", cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", row)]


def test_each_budget_says_what_is_used_of_it_and_where_that_leads(
    limited: Limited, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_page(limited[0], monkeypatch, "budgets")
    page_html = read_html(app)
    assert read_metrics(app) == {
        "Grants and budgets": "4", "At the limit": "1", "Near the limit": "0", "Will be used up": "2", "Stopped": "0",
        "Refused in 24 h": "0",
    }  # fmt: skip
    assert "1 of 4 is at the limit: agent shopper." in page_html
    full, half = read_cells(page_html, ">agent shopper<"), read_cells(page_html, ">team &lt;b&gt;")
    assert full[1:4] == ["$1.00 billed in 1 hour", "110.0%", "$0.00"] and full[5:] == ["used up", "–"]
    assert half[1:4] == ["$17.00 billed in 1 day", "66.2%", "$5.75"] and half[5].startswith("used up in ")
    assert read_cells(page_html, ">team nobody<")[1:] == ["$5.00 billed in 1 day", "0.0%", "$5.00", "–", "–", "–"]
    assert read_cells(page_html, ">feature summaries<")[1:4] == ["€4.00 billed in 1 day", "25.0%", "€3.00"], (
        "dollars are not euros"
    )
    assert 'title="€1.000001 used of €4.00"' in page_html, "all digits"


def test_the_figures_are_those_of_the_folds_rows(limited: Limited, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, _ = limited
    store = Store(settings.home)
    rows = store.state.open_state(partition_of(ORGANIZATION))
    for dimension, value, window_s in (("agent", "shopper", 3600), ("team", MARKUP_NAME, 86400)):
        budget = read_budget(ORGANIZATION, dimension, value, window_s, rows.get(NOW) * 1000, rows)
        assert budget is not None
        billed = budget.present.used[0]
        used, remaining = Decimal(billed).scaleb(-12), Decimal(budget.limit - billed).scaleb(-12)
        query = {"dimension": dimension, "scope": value, "window": str(window_s), "organization": ORGANIZATION}
        figures = read_metrics(open_page(settings, monkeypatch, "budgets", **query))
        assert (figures["Used"], figures["Remaining"]) == (format.money(used, "USD"), format.money(remaining, "USD"))
    store.close()


def test_the_address_chooses_which_budgets(limited: Limited, monkeypatch: pytest.MonkeyPatch) -> None:
    page_html = read_html(open_page(limited[0], monkeypatch, "budgets", budgets="crossed"))
    assert "agent shopper" in page_html and "team nobody" not in page_html


def test_a_name_is_text_everywhere(limited: Limited, monkeypatch: pytest.MonkeyPatch) -> None:
    query = {"dimension": "team", "scope": MARKUP_NAME, "window": "86400", "organization": ORGANIZATION}
    for app in (
        open_page(limited[0], monkeypatch, "budgets"),
        open_page(limited[0], monkeypatch, "budgets", **query),
        open_page(limited[0], monkeypatch, "incidents"),
    ):
        assert "&lt;b&gt;*bold*" in read_html(app) and "<b>*" not in read_html(app)
        assert not any("bold" in part.value for part in (*app.header, *app.subheader, *app.caption, *app.markdown))


def test_a_crossing_leads_to_the_call_that_crossed(limited: Limited, monkeypatch: pytest.MonkeyPatch) -> None:
    query = {"dimension": "agent", "scope": "shopper", "window": "3600", "organization": ORGANIZATION}
    page_html = read_html(open_page(limited[0], monkeypatch, "budgets", **query))
    assert page_html.count("source=gateway&amp;id=s-full") == 3
    assert [read_cells(page_html, f">{threshold}%</td>")[1:4] for threshold in (50, 80, 100)] == [
        ["50%", "$1.10", "$1.00"], ["80%", "$1.10", "$1.00"], ["100%", "$1.10", "$1.00"],
    ]  # fmt: skip


def test_a_changed_limit_arms_again_what_it_leaves_behind(limited: Limited, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, feed = limited
    feed.add([budget("more", "agent", "shopper", "100", window_s=3600)], channel="control")
    query = {"dimension": "agent", "scope": "shopper", "window": "3600", "organization": ORGANIZATION}
    app = open_page(settings, monkeypatch, "budgets", **query)
    assert read_metrics(app)["Limit"] == "$100.00" and read_cells(read_html(app), "Threshold crossed")[1] == "none"
    assert "–" not in read_cells(read_html(app), ">80%<")[-1], "it says when it was armed again"
    feed.add([budget("less", "agent", "shopper", "1", window_s=3600)], channel="control")


def test_calls_of_unknown_cost_are_named_above_the_budgets_and_where_one_denies_them(
    limited: Limited, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, feed = limited
    denying = {"dimension": "team", "scope": "quiet", "limit": "5", "currency": "USD", "window_s": 86400}
    feed.add([control("denying", "budget.allocated", **denying, unknown_usage="deny")], channel="control")
    feed.add([call("silent", datetime.now(UTC), team="quiet", model="gpt-4o", usage_source="missing")])
    page_html = read_html(open_page(settings, monkeypatch, "budgets"))
    assert "1 grant or budget has such calls in the window, and 1 denies them." in page_html
    assert "cost not known: 1 call, denied" in read_cells(page_html, ">team quiet<")[0]
    assert "1 call of unknown cost in the window" in page_html


@pytest.mark.parametrize("query", [{"scope": "x"}, {"scope": "shopper", "dimension": "agent", "window": "1e9"}])
def test_a_link_to_no_budget_is_a_sentence(
    limited: Limited, monkeypatch: pytest.MonkeyPatch, query: dict[str, str]
) -> None:
    assert "No such budget" in open_page(limited[0], monkeypatch, "budgets", **query).info[0].value


def test_a_warehouse_that_is_away_is_a_sentence(limited: Limited, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = Settings(home=limited[0].home / "nowhere")
    for page in ("budgets", "incidents", "start"):
        assert "does not answer" in open_page(nowhere, monkeypatch, page).info[0].value
