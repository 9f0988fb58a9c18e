"""The pages in a browser where names are hostile, and where another page would use them."""

from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import urlencode, urljoin

import pytest
from playwright.sync_api import ConsoleMessage, Page, Response, expect

from dashboards.page_list import PAGES
from ledger.settings import Settings
from tests.dashboards.browser import BROWSER, read_metric
from tests.dashboards.feed import BOOK, Feed, budget, call, loop
from tests.dashboards.server import dashboards, warehouse
from tests.warehouse.plugin import InstallWarehouse

pytestmark = BROWSER
NAMES = {
    " ": "⟦U+0020⟧",
    "\u200b": "⟦U+200B⟧",
    "\u202etxt.exe": "⟦U+202E⟧txt.exe",
    "a\nb": "a⟦U+000A⟧b",
    "<img src=x onerror=alert(1)>[a](b) **c** $d$ :red[e]": "<img src=x onerror=alert(1)>[a](b) **c** $d$ :red[e]",
    "(none)": "(none)",
    "(other)": "(other)",
    "⟦none⟧": "⟦U+27E6⟧none⟧",
}
PATHS = ("", "?by=agent", *(page.name for page in PAGES))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory, install_warehouse: InstallWarehouse) -> Iterator[Settings]:
    """A ledger whose teams, agents and sessions have such names, and calls of no team."""
    with warehouse(install_warehouse(tmp_path_factory.mktemp("hostile")).home) as settings:
        feed, now = Feed(settings), datetime.now(UTC)
        feed.adopt("test", BOOK)
        feed.add(
            [budget(f"b{number}", "team", name, "1") for number, name in enumerate(NAMES) if name.strip()],
            channel="control",
        )
        feed.add([
            call(
                f"n{number}", now, team=name, agent=name, session=name, model="gpt-4o",
                tokens={"input": 10**6 + number},
            )
            for number, name in enumerate(NAMES)
        ])  # fmt: skip
        feed.add([call(f"absent{number}", now, model="gpt-4o", tokens={"input": 10**5}) for number in range(2)])
        for number, name in enumerate(NAMES):
            feed.add(loop(f"{name}{number}", name, 4, now))
        yield settings
        feed.close()


@pytest.fixture(scope="module")
def url(hostile: Settings) -> Iterator[str]:
    with dashboards(hostile) as url:
        yield url


@pytest.mark.parametrize("path", PATHS)
def test_the_console_is_clean_and_nothing_runs_or_is_refused(page: Page, url: str, path: str) -> None:
    problems: list[str] = []

    def note_message(message: ConsoleMessage) -> None:
        if message.type == "error":
            problems.append(message.text)

    def note_response(answer: Response) -> None:
        if answer.status >= 400:
            problems.append(answer.url)

    page.on("console", note_message)
    page.on("response", note_response)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("dialog", lambda dialog: problems.append(dialog.message))
    page.goto(f"{url}/{path}")
    expect(page.locator(".tally").last).to_be_visible()
    expect(page.get_by_test_id("stException")).to_have_count(0)
    if path in ("", "?by=agent", PAGES[0].name):
        expect(page.locator(".bars")).to_be_visible()
    assert not problems


def test_an_answer_to_a_statement_shows_each_name_as_it_is(page: Page, url: str) -> None:
    sql = "select team, count() as calls from analytics.fct_calls group by team order by team"
    for view in ("table", "chart"):
        page.goto(f"{url}/sql?{urlencode({'sql': sql, 'view': view})}")
        expect(page.get_by_text("rows as of")).to_be_visible()
    page.goto(f"{url}/sql?{urlencode({'sql': sql})}")
    for spelling in NAMES.values():
        expect(page.get_by_role("cell", name=spelling, exact=True).first).to_be_visible()


def test_each_name_is_seen_and_leads_to_its_own_calls(page: Page, url: str) -> None:
    page.goto(f"{url}/?period=all")
    links = {
        spelling: page.get_by_role("link", name=spelling, exact=True).first.get_attribute("href") or ""
        for spelling in (*NAMES.values(), "⟦none⟧")
    }
    assert len(set(links.values())) == len(NAMES) + 1
    for number, (spelling, link) in enumerate(links.items()):
        if number == 0:
            page.get_by_role("link", name=spelling, exact=True).first.click()
            page.wait_for_url("**team=**")
        else:
            page.goto(urljoin(f"{url}/", link))
        expect(page.locator(".tally table").first.locator("tbody tr")).to_have_count(1)
        calls = "2" if spelling == "⟦none⟧" else "1"
        assert read_metric(page, "Calls") == calls, "not those of a team of that name" if calls == "2" else spelling


def test_another_page_cannot_frame_it(page: Page, url: str) -> None:
    page.set_content(f'<iframe src="{url}/trust"></iframe>')
    page.wait_for_timeout(2000)
    assert all(frame.locator(".tally").count() == 0 for frame in page.frames[1:])
