"""A warehouse with its models for the tests of the pages, and a ledger to look at."""

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

import pytest
import streamlit as st
from playwright.sync_api import Browser, Page, sync_playwright

from ledger.settings import Settings
from tests.dashboards.amendments import Ledger, tell_all
from tests.dashboards.browser import ARGUMENTS, CHROMIUM, TIMEOUT_MS
from tests.dashboards.feed import BOOK, EURO, MARKUP_NAME, Feed, build_spend, doubtful, history, limits, loop
from tests.dashboards.server import warehouse
from tests.warehouse.plugin import InstallWarehouse


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory, install_warehouse: InstallWarehouse) -> Iterator[Settings]:
    """A warehouse whose ledger holds nothing."""
    with warehouse(install_warehouse(tmp_path_factory.mktemp("empty")).home) as settings:
        Feed(settings).close()
        yield settings


@pytest.fixture(scope="session")
def full(
    tmp_path_factory: pytest.TempPathFactory, install_warehouse: InstallWarehouse
) -> Iterator[tuple[Settings, Feed]]:
    """A warehouse with twenty days of calls, and who feeds it."""
    with warehouse(install_warehouse(tmp_path_factory.mktemp("full")).home) as settings:
        feed = Feed(settings)
        feed.begin()
        feed.add(history(20, 3000, datetime.now(UTC)), refused=3)
        feed.add(doubtful(datetime.now(UTC)), channel="import", refused=2)
        verified = {"at": "2026-01-05T12:00:00+00:00", "events": {"counted": 3007}, "difference": None}
        (settings.home / "consumers" / "verify.json").write_text(json.dumps(verified))
        yield settings, feed
        feed.close()


@pytest.fixture(scope="module")
def limited(
    tmp_path_factory: pytest.TempPathFactory, install_warehouse: InstallWarehouse
) -> Iterator[tuple[Settings, Feed]]:
    """A warehouse with budgets in all their states, and with sessions that loop and looped."""
    with warehouse(install_warehouse(tmp_path_factory.mktemp("limited")).home) as settings:
        feed = Feed(settings)
        feed.adopt("test", BOOK)
        feed.adopt("euro", EURO)
        now = datetime.now(UTC)
        feed.add(limits(), channel="control")
        feed.add(build_spend(now))
        feed.add(loop("s-ended", "reviewer", 4, now, then="read"))
        feed.add(loop("s-open", MARKUP_NAME, 5, now))
        yield settings, feed
        feed.close()


@pytest.fixture(scope="session")
def amended(tmp_path_factory: pytest.TempPathFactory, install_warehouse: InstallWarehouse) -> Iterator[Ledger]:
    """A warehouse with events that were held, released, accepted, reversed, replaced and restated."""
    home = install_warehouse(tmp_path_factory.mktemp("amended")).home
    with warehouse(home) as settings, closing(Feed(settings)) as feed:
        feed.begin()
        yield Ledger(settings, feed, tell_all(feed))


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    yield
    st.cache_data.clear()
    st.cache_resource.clear()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(TIMEOUT_MS)
    yield page
    page.close()
