"""Use of the pages Budgets and Incidents in a browser: live figures, links to rows, shared links."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Browser, Page, expect

from ledger.settings import Settings
from tests.dashboards.browser import BROWSER, TIMEOUT_MS, await_metric, read_metric
from tests.dashboards.feed import Feed, call, loop
from tests.dashboards.server import dashboards

pytestmark = BROWSER
Limited = tuple[Settings, Feed]
SHOPPER = "budgets?dimension=agent&scope=shopper&window=3600&organization=acme"


@pytest.fixture(scope="module")
def url(limited: Limited) -> Iterator[str]:
    with dashboards(limited[0]) as url:
        yield url


def test_a_budget_fills_while_one_looks_and_says_what_it_crosses(page: Page, url: str, limited: Limited) -> None:
    page.goto(f"{url}/budgets")
    page.get_by_role("link", name="team nobody").click()
    page.wait_for_url("**scope=nobody**")
    expect(page.get_by_text("No threshold has been crossed yet.")).to_be_visible()
    assert read_metric(page, "Used") == "$0.00"
    limited[1].add([call("w-1", datetime.now(UTC), team="nobody", model="gpt-4o", tokens={"input": 1_100_000})])
    assert await_metric(page, "Used", "$0.00") == "$2.75"
    expect(page.get_by_role("cell", name="50%", exact=True).last).to_be_visible()
    expect(page.locator(".bars")).to_be_visible()
    page.get_by_role("link", name=re.compile(r"^\d{4}-\d\d-\d\d ")).first.click()
    expect(page.get_by_role("heading", name="Entries")).to_be_visible()


def test_which_budgets_are_shown_stands_in_the_address(page: Page, browser: Browser, url: str) -> None:
    page.goto(f"{url}/budgets")
    expect(page.get_by_role("link", name="feature summaries")).to_be_visible()
    page.get_by_role("radio", name="crossed").click()
    expect(page.get_by_role("link", name="feature summaries")).to_have_count(0)
    page.wait_for_url("**budgets=crossed**")

    second_page = browser.new_page()
    second_page.goto(page.url)
    expect(second_page.get_by_role("link", name="agent shopper, 1 hour").first).to_be_visible()
    expect(second_page.get_by_role("link", name="feature summaries")).to_have_count(0)
    second_page.close()


def test_a_runaway_goes_on_while_one_looks_and_ends(page: Page, url: str, limited: Limited) -> None:
    feed = limited[1]
    page.goto(f"{url}/incidents")
    active_count = read_metric(page, "Active")
    run = loop("w-run", "watched", 9, datetime.now(UTC), then="read")
    feed.add(run[:4])
    assert int(await_metric(page, "Active", active_count)) == int(active_count) + 1
    page.get_by_title("session w-run").click()
    page.wait_for_url("**episode=**")
    assert read_metric(page, "Repeats") == "4"
    feed.add(run[4:9])
    assert await_metric(page, "Repeats", "4") == "9"
    assert read_metric(page, "State") == "active"
    feed.add(run[9:])
    expect(page.get_by_text("closed: the session had new results")).to_be_visible()
    page.locator("a[href^='call?position=']").first.click()
    expect(page.get_by_role("heading", name="Entries")).to_be_visible()


@pytest.mark.parametrize("path", ["budgets", SHOPPER, "incidents", "episode", "start"])
def test_nothing_overflows_a_narrow_screen(browser: Browser, url: str, path: str) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 844}, color_scheme="dark")
    page.set_default_timeout(TIMEOUT_MS)
    page.goto(f"{url}/{'incidents' if path == 'episode' else path}")
    if path == "episode":
        page.get_by_title("session s-ended").click()
        page.wait_for_url("**episode=**")
    expect(page.locator(".tally table").last).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.get_by_test_id("stMain").evaluate("main => main.scrollWidth <= main.clientWidth")
    expect(page.get_by_test_id("stException")).to_have_count(0)
    page.close()
