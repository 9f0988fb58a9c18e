"""Use of the pages in a browser: live figures, filters, links to a call, shared links."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from ledger.settings import Settings
from tests.dashboards.browser import BROWSER, await_metric, choose_option, read_metric
from tests.dashboards.feed import Feed, call
from tests.dashboards.server import dashboards, warehouse
from tests.warehouse.plugin import InstallWarehouse

pytestmark = BROWSER
Full = tuple[Settings, Feed]


@pytest.fixture(scope="module")
def url(full: Full) -> Iterator[str]:
    with dashboards(full[0]) as url:
        yield url


def test_figures_move_while_calls_arrive(page: Page, url: str, full: Full) -> None:
    page.goto(f"{url}/?period=all")
    spend, calls = read_metric(page, "Spend"), read_metric(page, "Calls")
    new_calls = (
        call(f"live-{number}", datetime.now(UTC), team="search", model="gpt-4o", tokens={"input": 1_000_000})
        for number in range(5)
    )
    full[1].add(new_calls)
    assert int(await_metric(page, "Calls", calls).replace(",", "")) == int(calls.replace(",", "")) + 5
    assert await_metric(page, "Spend", spend) != spend


def test_a_filter_stands_in_the_address_and_a_copied_link_shows_the_same(
    page: Page, browser: Browser, url: str
) -> None:
    page.goto(f"{url}/?period=all&by=model")
    total = read_metric(page, "Calls")
    choose_option(page, page.get_by_test_id("stMultiSelect").first.get_by_role("combobox"), "support")
    filtered = await_metric(page, "Calls", total)
    page.wait_for_url("**team=support**")

    second_page = browser.new_page()
    second_page.goto(page.url)
    assert read_metric(second_page, "Calls") == filtered
    expect(second_page.get_by_role("heading", name="By model")).to_be_visible()
    second_page.close()


@pytest.mark.parametrize("width", [1440, 390])
def test_a_question_is_a_link_and_fits_the_screen(page: Page, browser: Browser, url: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(f"{url}/sql")
    choose_option(page, page.get_by_role("combobox").first, "Which token classes is the money spent on?")
    expect(page.get_by_text("rows as of")).to_be_visible()
    page.wait_for_url("**sql=select**")
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    answer = page.get_by_role("table").filter(has_text="token_count").inner_text()

    second_page = browser.new_page()
    second_page.goto(page.url)
    expect(second_page.get_by_role("table").filter(has_text="token_count")).to_have_text(answer, use_inner_text=True)
    with second_page.expect_download() as download:
        second_page.get_by_role("button", name="Download CSV").click()
    assert download.value.path().read_text().startswith("class,token_count,spend")
    second_page.close()


def test_a_row_leads_down_to_one_call_and_its_place_on_the_log(page: Page, url: str) -> None:
    page.goto(f"{url}/?period=all&calls=most+expensive")
    page.get_by_role("link", name="support", exact=True).click()
    page.wait_for_url("**team=support**")
    page.locator("a[href^='call?']").first.click()
    page.wait_for_url("**/call?**")
    expect(page.get_by_role("heading", name="Entries")).to_be_visible()
    expect(page.get_by_text("tally.events", exact=True)).to_be_visible()
    tokens = read_metric(page, "Tokens")
    page.reload()
    assert read_metric(page, "Tokens") == tokens


def test_trust_can_be_opened_by_its_link(page: Page, url: str) -> None:
    page.goto(f"{url}/trust")
    expect(page.get_by_role("heading", name="Completeness")).to_be_visible()
    expect(page.get_by_text("received", exact=True)).to_be_visible()
    expect(page.get_by_text("≠")).to_have_count(0)


@pytest.mark.parametrize("path", ["/?period=all", "/trust", "/call?source=gateway&id=loop-2"])
def test_nothing_overflows_a_narrow_screen(browser: Browser, url: str, path: str) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.goto(url + path)
    expect(page.locator(".tally table").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.get_by_test_id("stMain").evaluate("main => main.scrollWidth <= main.clientWidth")
    page.close()


def test_an_empty_ledger_fills_by_itself(page: Page, empty: Settings) -> None:
    with dashboards(empty) as url:
        page.goto(url)
        expect(page.get_by_role("heading", name="The ledger is empty")).to_be_visible()
        feed = Feed(empty)
        feed.begin()
        feed.add([call("first", datetime.now(UTC), team="search", model="gpt-4o", tokens={"input": 1000})])
        feed.close()
        assert read_metric(page, "Calls") == "1"


def test_a_warehouse_that_stops_is_a_sentence_and_heals_by_itself(
    page: Page, tmp_path: Path, install_warehouse: InstallWarehouse
) -> None:
    notice = page.get_by_text("The warehouse does not answer.").first
    with warehouse(install_warehouse(tmp_path).home) as settings:
        feed = Feed(settings)
        feed.begin()
        feed.add([call("first", datetime.now(UTC), team="search", model="gpt-4o", tokens={"input": 1000})])
        feed.close()
        with ExitStack() as end:
            url = end.enter_context(dashboards(settings))
            page.goto(url)
            assert read_metric(page, "Calls") == "1"
            stopped = end.pop_all()
    with stopped:
        expect(notice).to_be_visible()
        expect(page.get_by_test_id("stException")).to_have_count(0)
        with warehouse(tmp_path):
            assert read_metric(page, "Calls") == "1"
            expect(notice).to_have_count(0)
