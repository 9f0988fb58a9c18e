"""What the tests of pages look with, and at."""

import shutil

import pytest
from playwright.sync_api import Page, expect

CHROMIUM = shutil.which("chromium")
BROWSER = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="NOT TESTED: chromium is not installed"),
]
ARGUMENTS = [
    f"--{flag}"
    for flag in [
        "headless",
        "no-sandbox",
        "disable-gpu",
        "disable-quic",
        "no-first-run",
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
    ]
]

expect.set_options(timeout=20_000)


def metric(page: Page, label: str) -> str:
    found = page.get_by_test_id("stMetric").filter(has_text=label).get_by_test_id("stMetricValue")
    expect(found).to_be_visible(timeout=20_000)
    return found.inner_text()


def until(page: Page, label: str, before: str) -> str:
    """The figure as soon as it is another one."""
    found = page.get_by_test_id("stMetric").filter(has_text=label).get_by_test_id("stMetricValue")
    expect(found).not_to_have_text(before, timeout=20_000)
    return found.inner_text()
