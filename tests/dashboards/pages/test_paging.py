"""Search and pages of long tables, on every page: headlines count everything, and the address holds the state."""

import pytest
from playwright.sync_api import Browser, ConsoleMessage, expect

from tests.dashboards.pages.conftest import BUDGET_COUNT, TEAM_COUNT, Crowd
from tests.dashboards.screenshots import open_page, read_html, read_metrics
from tests.dashboards.server import dashboards


def open_html(crowd: Crowd, monkeypatch: pytest.MonkeyPatch, page: str, **query: str) -> tuple[str, list[str]]:
    app = open_page(crowd.settings, monkeypatch, page, **query)
    return read_html(app), [caption.value for caption in app.caption]


def test_all_teams_are_reached_and_one_that_fell_to_nothing_leads_the_changes(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    page_html, captions = open_html(crowd, monkeypatch, "overview", period="7d")
    assert f"1–12 of {TEAM_COUNT}" in captions
    assert "−$1,000.00" in page_html and "▼" in page_html and ">fallen</a>" in page_html
    page_html, captions = open_html(crowd, monkeypatch, "overview", period="7d", groups_page="26")
    assert "301–304 of 304" in captions and ">team-001</a>" in page_html
    page_html, captions = open_html(crowd, monkeypatch, "overview", period="7d", groups_search="TEAM-30")
    assert ">team-303</a>" in page_html and ">team-299</a>" not in page_html
    _, captions = open_html(crowd, monkeypatch, "overview", period="7d", groups_search="nothing like it")
    assert "Nothing has this text." in captions
    _, captions = open_html(crowd, monkeypatch, "overview", period="7d", groups_page="99")
    assert f"1–12 of {TEAM_COUNT}" in captions, "a page that is not there is the first one"


def test_later_calls_are_reached(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    first, _ = open_html(crowd, monkeypatch, "overview", period="7d")
    second, captions = open_html(crowd, monkeypatch, "overview", period="7d", list_page="2")
    assert "13–24" in captions and first != second
    page_html, captions = open_html(crowd, monkeypatch, "overview", period="7d", list_search="n29")
    assert page_html.count("id=n29") == 11 and "1–12" not in captions


def test_one_old_call_does_not_stretch_the_chart(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    page_html, _ = open_html(crowd, monkeypatch, "overview", period="all")
    assert "The chart shows" in page_html and "2000" not in page_html.partition("The chart shows")[2].partition(";")[0]


def test_headlines_count_all_budgets(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_page(crowd.settings, monkeypatch, "budgets")
    figures = read_metrics(app)
    assert figures["Grants and budgets"] == figures["At the limit"] == str(BUDGET_COUNT)
    assert f"1–12 of {BUDGET_COUNT}" in [caption.value for caption in app.caption]
    page_html, captions = open_html(crowd, monkeypatch, "budgets", list_search="team-22")
    assert ">team team-229</a>" in page_html and "in 14 days" in page_html and f"1–12 of {BUDGET_COUNT}" not in captions
    _, captions = open_html(crowd, monkeypatch, "budgets", budgets="near limit")
    assert "No grant or budget is in this state." in captions
    _, captions = open_html(crowd, monkeypatch, "budgets", crossings_page="2")
    assert any(caption.startswith("21–40 of ") for caption in captions)


def test_incidents_are_found(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    page_html, captions = open_html(crowd, monkeypatch, "incidents", kind="runaways", over_page="2")
    assert "21–30 of 30" in captions and page_html.count("session s-") == 10
    page_html, _ = open_html(crowd, monkeypatch, "incidents", kind="runaways", over_search="s-28")
    assert page_html.count("session s-") == 1
    page_html, captions = open_html(crowd, monkeypatch, "incidents", active_search="team-22")
    assert "team team-229 reached the limit of a budget" in page_html


def test_what_trust_lists_is_found(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    _, captions = open_html(crowd, monkeypatch, "trust", alerts_page="3", controls_search="team-00")
    assert "21–30 of 30" in captions and "1–10 of 20" in captions


@pytest.mark.browser
def test_titles_are_those_of_the_pages_and_the_console_is_silent(browser: Browser, crowd: Crowd) -> None:
    problems: list[str] = []

    def note_message(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            problems.append(message.text)

    with dashboards(crowd.settings) as url:
        for path, title in (("?period=all", "Overview"), ("explore?period=all", "Explore"), ("budgets", "Budgets")):
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.on("console", note_message)
            page.goto(f"{url}/{path}")
            expect(page.locator(".tally table").last).to_be_visible()
            expect(page).to_have_title(f"{title} · Tallystick")
            if path != "budgets":
                expect(page.locator(".bars")).to_be_visible()
            page.close()
    assert not problems
