"""The demo as a new user meets it, on either log: one command, its live pages, verification, and its end."""

import json
import re
import signal
import subprocess
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.dashboards.browser import BROWSER, await_metric, read_metric
from tests.tally.conftest import COMMAND, ROOT, alive, home_environment, invoke, tally

pytestmark = BROWSER


@pytest.fixture(scope="module", params=["", pytest.param("kafka://", marks=pytest.mark.long)])
def environment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """As `make demo` sets it, and `make demo-kafka`."""
    home = {"TALLY_HOME": str(tmp_path_factory.mktemp("demo") / "home")}
    return home | ({"TALLY_LOG": request.param} if request.param else {})


@pytest.fixture(scope="module")
def demo(environment: dict[str, str]) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [*COMMAND, "demo"], env=home_environment(environment), cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    yield process
    process.kill()
    process.communicate()


@pytest.fixture(scope="module")
def url(demo: "subprocess.Popen[str]") -> str:
    assert demo.stdout
    for line in demo.stdout:
        if match := re.match(r"Dashboards\s+(http\S+)", line):
            return match[1]
    raise AssertionError("the demo ended before it told its addresses")


def test_its_figures_change_and_a_team_leads_to_one_call(page: Page, browser: Browser, url: str) -> None:
    page.goto(url)
    total = read_metric(page, "Calls")
    assert await_metric(page, "Calls", total) != total
    page.get_by_role("link", name="engineering", exact=True).first.click()
    page.wait_for_url("**team=engineering**")
    page.locator("a[href^='call?']").first.click()
    page.wait_for_url("**/call?**")
    expect(page.get_by_role("heading", name="Entries")).to_be_visible()

    second_page = browser.new_page()
    second_page.goto(page.url)
    assert read_metric(second_page, "Tokens") == read_metric(page, "Tokens")
    second_page.close()


def test_a_decision_for_everyone_is_told_once(page: Page, url: str) -> None:
    page.goto(f"{url}/trust?controls_search=price_book")
    expect(page.get_by_role("cell", name="price_book.adopted")).to_have_count(2)


def test_it_can_be_proved_while_it_lives(url: str, environment: dict[str, str]) -> None:
    result = tally("verify", "--json", **environment)
    assert result.returncode == 0, result.stdout
    events = json.loads(result.stdout)["events"]
    assert all(events.values()), "every outcome is in the demo"


def test_ctrl_c_ends_it_cleanly(url: str, environment: dict[str, str], demo: "subprocess.Popen[str]") -> None:
    status = json.loads(invoke("status", "--json", **environment).stdout)
    pids = [service["pid"] for service in status["services"].values() if "pid" in service]
    assert len(pids) == (9 if "TALLY_LOG" in environment else 8), "Kafka is a service of its own"
    demo.send_signal(signal.SIGINT)
    assert demo.wait(60) == 0
    assert not any(alive(pid) for pid in pids)
