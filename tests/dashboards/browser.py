"""Chromium for the tests of pages, and readers of figures."""

import shutil
import time

import pytest
from playwright.sync_api import Locator, Page, TimeoutError, expect

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

TIMEOUT_MS = 90_000
"""How long a page may take on a busy machine; no test waits that long where the page is right."""
ATTEMPT_MS = 5_000

expect.set_options(timeout=TIMEOUT_MS)


def read_metric(page: Page, label: str) -> str:
    value = page.get_by_test_id("stMetric").filter(has_text=label).get_by_test_id("stMetricValue")
    expect(value).to_be_visible()
    return value.inner_text()


def await_metric(page: Page, label: str, before: str) -> str:
    """The figure as soon as it is another one."""
    value = page.get_by_test_id("stMetric").filter(has_text=label).get_by_test_id("stMetricValue")
    expect(value).not_to_have_text(before)
    return value.inner_text()


def choose_option(page: Page, box: Locator, name: str) -> None:
    """Type the name of an option into a box, and choose it. A rerun of the page closes the list and drops what was
    typed, so it is tried again until the list stays open."""
    deadline = time.monotonic() + TIMEOUT_MS / 1000
    while True:
        box.fill(name)
        try:
            page.get_by_role("option", name=name, exact=True).click(timeout=ATTEMPT_MS)
        except TimeoutError:
            assert time.monotonic() < deadline, f"the box never offered {name!r}"
        else:
            return


def search(page: Page, placeholder: str, text: str, effect: str) -> None:
    """Search for a text until the page shows its effect, another text. A rerun of the page can drop what was typed."""
    deadline = time.monotonic() + TIMEOUT_MS / 1000
    while True:
        page.get_by_placeholder(placeholder).fill(text)
        page.get_by_placeholder(placeholder).press("Enter")
        try:
            page.get_by_text(effect).wait_for(timeout=ATTEMPT_MS)
        except TimeoutError:
            assert time.monotonic() < deadline, f"a search for {text!r} never showed {effect!r}"
        else:
            return


def press(button: Locator, effect: Locator) -> None:
    """Press a button until the page shows its effect. A rerun of the page can replace the button under the pointer."""
    deadline = time.monotonic() + TIMEOUT_MS / 1000
    while True:
        button.click()
        try:
            effect.wait_for(timeout=4 * ATTEMPT_MS)
        except TimeoutError:
            assert time.monotonic() < deadline, f"{button} never showed {effect}"
        else:
            return
