"""Use of the page Call trees in a browser: links, pages, search, and narrow screens."""

from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.dashboards.browser import BROWSER, TIMEOUT_MS, read_metric, search
from tests.dashboards.pages.trees.conftest import Forest
from tests.dashboards.server import dashboards

pytestmark = BROWSER
LINKS = {
    "list": "trees?period=7d",
    "sessions": "trees?period=7d&list=sessions",
    "tree": "trees?source=gateway&id=page-1&organization=acme",
    "long": "trees?session=s-long&organization=acme",
}


@pytest.fixture(scope="module")
def url(forest: Forest) -> Iterator[str]:
    with dashboards(forest.settings) as url:
        yield url


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.set_default_timeout(TIMEOUT_MS)
    yield page
    page.close()


def open_whole(page: Page, address: str) -> None:
    """Open a view, and wait for its last line."""
    page.goto(address)
    expect(page.locator(".tally .live").last).to_be_visible()


def read_answer(page: Page) -> str:
    return page.locator(".tally h2").inner_text()


def test_a_list_leads_to_a_tree_its_call_and_back(page: Page, url: str) -> None:
    open_whole(page, f"{url}/{LINKS['list']}")
    page.get_by_role("link", name="planner", exact=True).click()
    page.wait_for_url("**id=plan**")
    expect(page.get_by_role("heading", name="Timeline")).to_be_visible()
    answer = read_answer(page)
    assert answer.startswith("This call tree cost $0.4200 over 8 calls")
    page.get_by_role("link", name="edit_file", exact=True).first.click()
    page.wait_for_url("**/call?**")
    page.get_by_role("link", name="Call tree of this call").click()
    page.wait_for_url("**/trees?**id=code**")
    expect(page.locator(".tally h2")).to_have_text(answer)
    page.get_by_role("link", name="Session s-agents").click()
    expect(page.locator(".tally h2")).to_contain_text("This session cost $0.4200")


def test_pages_and_filters_stand_in_the_address_and_a_copied_link_shows_the_same(
    page: Page, browser: Browser, url: str
) -> None:
    open_whole(page, f"{url}/{LINKS['long']}")
    page.get_by_role("radio", name="duration").click()
    search(page, "Search tool, agent, model, id", "summarize", effect="1–12 of 1,000")
    page.get_by_role("button", name="Page 3", exact=True).click()
    expect(page.get_by_text("25–36 of 1,000")).to_be_visible()
    page.wait_for_url("**steps_page=3**")
    assert parse_qs(urlsplit(page.url).query) == {
        "session": ["s-long"], "organization": ["acme"], "order": ["duration"], "steps_search": ["summarize"],
        "steps_page": ["3"],
    }  # fmt: skip
    steps = page.get_by_role("table").filter(has_text="Cached").inner_text()

    second_page = browser.new_page(viewport={"width": 1440, "height": 900})
    open_whole(second_page, page.url)
    expect(second_page.get_by_text("25–36 of 1,000")).to_be_visible()
    assert second_page.get_by_role("table").filter(has_text="Cached").inner_text() == steps
    assert read_metric(second_page, "Calls") == "3,000"
    second_page.close()


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
@pytest.mark.parametrize("name", LINKS)
def test_it_fits_the_screen(browser: Browser, url: str, name: str, width: int, scheme: str) -> None:
    page = browser.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme)  # type: ignore[arg-type]
    open_whole(page, f"{url}/{LINKS[name]}")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.get_by_test_id("stMain").evaluate("main => main.scrollWidth <= main.clientWidth")
    expect(page.get_by_test_id("stException")).to_have_count(0)
    page.close()


def test_runaways_and_the_overview_lead_to_it(page: Page, url: str) -> None:
    page.goto(f"{url}/?period=7d")
    page.get_by_role("link", name="Most expensive call trees and sessions").click()
    page.wait_for_url("**/trees?period=7d**")
    expect(page.locator(".tally h2")).to_contain_text("The most expensive of")
