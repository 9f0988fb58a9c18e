"""Chromium for the tests of pages, and readers of figures."""

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


def read_metric(page: Page, label: str) -> str:
    value = page.get_by_test_id("stMetric").filter(has_text=label).get_by_test_id("stMetricValue")
    expect(value).to_be_visible(timeout=20_000)
    return value.inner_text()


def await_metric(page: Page, label: str, before: str) -> str:
    """The figure as soon as it is another one."""
    value = page.get_by_test_id("stMetric").filter(has_text=label).get_by_test_id("stMetricValue")
    expect(value).not_to_have_text(before, timeout=20_000)
    return value.inner_text()
