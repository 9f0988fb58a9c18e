"""The page Budgets in a browser, on a narrow and on a wide screen."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from ledger.settings import Settings
from tests.dashboards.browser import BROWSER
from tests.dashboards.pages.budgets.test_grants import HOLDER_COUNT
from tests.dashboards.server import dashboards

pytestmark = BROWSER
TIMEOUT_MS = 60_000


@pytest.fixture(scope="module")
def url(granted: Settings) -> Iterator[str]:
    with dashboards(granted) as url:
        yield url


@pytest.mark.parametrize("width", [390, 1440])
def test_the_page_fits_and_a_refusal_is_one_click_away(browser: Browser, url: str, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.set_default_timeout(TIMEOUT_MS)
    page.goto(f"{url}/budgets")
    expect(page.locator(".tally .live").last).to_be_visible(timeout=TIMEOUT_MS)
    expect(page.get_by_text(f"1–12 of {HOLDER_COUNT}")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator("a[href*='refusal=']").first.click()
    page.wait_for_url("**refusal=**")
    expect(page.get_by_role("heading", name="What helps")).to_be_visible(timeout=TIMEOUT_MS)
    expect(page.get_by_text("tally grant why", exact=False).first).to_be_visible()
    page.close()
