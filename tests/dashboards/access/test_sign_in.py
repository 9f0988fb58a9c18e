"""Signing in, in a browser, where the pages listen elsewhere than on loopback."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, expect

from ledger.home.presence import find_presence
from ledger.settings import Settings
from tests.dashboards.browser import BROWSER, TIMEOUT_MS
from tests.dashboards.server import dashboards

pytestmark = BROWSER


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_beyond_loopback_the_password_of_the_home_opens_the_page(
    browser: Browser, empty: Settings, scheme: str, tmp_path: Path
) -> None:
    with dashboards(empty, TALLY_BIND="0.0.0.0") as url:
        context = browser.new_context(color_scheme=scheme, viewport={"width": 390, "height": 844})  # type: ignore[arg-type]
        page = context.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.goto(f"{url}/start")
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        assert "tally" in page.title().lower() and "Create one in a terminal" not in page.content()
        page.screenshot(path=tmp_path / f"sign-in-{scheme}.png")
        page.get_by_label("Password").fill("wrong")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_be_visible()
        facts = find_presence(empty.home, "dashboards")
        assert facts is not None
        page.get_by_label("Password").fill(facts["password"])
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", name="Start here")).to_be_visible()
        page.get_by_role("link", name="Sign out").click()
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_label("Password")).to_be_visible()
        assert urlsplit(page.url).path == "/sign-in"
        context.close()
