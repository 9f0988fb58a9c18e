"""The page Explore over a real warehouse: its question and answer, its links, and views that do not exist."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from playwright.sync_api import Browser, expect

from dashboards.pages.explore.controls import read_filters, write_filter
from ledger.settings import Settings
from tests.dashboards.browser import choose_option, press, search
from tests.dashboards.pages.conftest import Crowd
from tests.dashboards.screenshots import open_page, read_html
from tests.dashboards.server import dashboards

names = st.sampled_from(["team", "service tier", "tag:a:b", "tag:%3A", "tag:epic"])


@given(st.dictionaries(names, st.lists(st.text(max_size=5), min_size=1, max_size=3, unique=True)))
def test_a_filter_is_read_back_from_its_link(filters: dict[str, list[str]]) -> None:
    texts = [write_filter(name, value) for name, values in filters.items() for value in values]
    assert read_filters(texts) == filters


def test_an_empty_filter_is_left_out() -> None:
    assert read_filters(["nobody:1", "", "team", "team:a:b"]) == {"nobody": ["1"], "team": ["", "a:b"]}


def test_a_question_has_its_answer(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_page(crowd.settings, monkeypatch, "explore", period="7d", by="team", **{"and": "model"})
    page_html = read_html(app)
    assert "What did we spend in the last 7 days, by team and model?" in page_html
    assert "% less than the $1,0" in page_html and "of the period before" in page_html
    assert "fallen · gpt-4o fell most (−$1,000.00)" in page_html
    assert "1–12 of 304" in [caption.value for caption in app.caption]
    assert "from sums by the hour" in page_html
    for name in ("Period before", "Volume", "Mix", "Price", "This period"):
        assert name in page_html


def test_a_search_and_a_page_stand_in_the_link(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    page_html = read_html(
        open_page(
            crowd.settings, monkeypatch, "explore", period="7d", groups_search="TEAM-0", groups_page="2", moves_page="3"
        )
    )
    assert ">team-063<" in page_html and ">team-099<" not in page_html
    assert ">fallen<" not in page_html, "it is on the first page of the changes"


def test_what_reads_single_calls_says_so(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_page(crowd.settings, monkeypatch, "explore", period="7d", by="user", **{"and": "token class"})
    assert "from each call of the period (fct_attributed_usage)" in read_html(app)
    assert "user-1" in read_html(app) and "cache_read" in read_html(app)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ({"by": "tag:epic", "and": "token class"}, "No mart has all of this together"),
        ({"by": "model", "measure": "cost per success"}, "No mart has all of this together"),
        ({"period": "range", "range": ["2001-01-01", "2001-01-02"]}, "No calls in this period"),
        ({"period": "7d", "filter": "team:nobody"}, "Nothing in this period matches these filters"),
        ({"period": "24h", "filter": "team:fallen"}, "Nothing in this period matches these filters"),
        ({"period": "7d", "filter": "team:fallen"}, "The one before had 1 call, $1,000.00"),
        (
            {"by": "owner", "measure": "cost per success", "period": "range", "range": ["2001-01-01", "2001-01-02"]},
            "No work of this period was judged",
        ),
        ({"filter": "teem:search"}, "This link names a dimension that does not exist"),
        ({"filter": "tag:"}, "This link names a dimension that does not exist"),
    ],
)
def test_a_view_without_figures_is_a_sentence(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch, query: dict[str, str | list[str]], text: str
) -> None:
    app = open_page(crowd.settings, monkeypatch, "explore", **query)
    assert text in app.info[0].value


def test_a_link_that_is_wrong_opens_a_view(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    query = {"by": "nothing", "and": "' or 1", "tz": "Nowhere", "measure": "x", "filter": "a:b", "groups_page": "99"}
    page_html = read_html(open_page(crowd.settings, monkeypatch, "explore", period="7d", **query))
    assert "It names nothing." in page_html
    assert 'href="explore?period=7d&amp;by=team&amp;measure=billed"' in page_html, "the way to a view that is there"


def test_an_empty_ledger_says_how_to_begin(empty: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "The ledger is empty" in open_page(empty, monkeypatch, "explore").header[0].value


@pytest.mark.browser
@pytest.mark.parametrize("width", [1440, 390])
def test_a_copied_link_opens_the_same_view(browser: Browser, crowd: Crowd, width: int) -> None:
    with dashboards(crowd.settings) as url:
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.goto(f"{url}/explore?period=7d&tz=Asia/Kolkata")
        choose_option(page, page.get_by_role("combobox", name="And by"), "model")
        expect(page.get_by_role("heading", name="by team and model?")).to_be_visible()
        search(page, "Search groups", "team-1", effect="1–12 of 100")
        table = page.locator(".tally table").last
        press(page.get_by_role("button", name="Next page").last, page.get_by_text("13–24 of 100"))
        page.wait_for_url("**groups_page=2**")
        parameters = parse_qs(urlsplit(page.url).query)
        assert parameters["and"] == ["model"] and parameters["groups_search"] == ["team-1"]
        assert parameters["tz"] == ["Asia/Kolkata"]
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        _check_copy(browser, page.url, read_rows(table.inner_text()))
        table.get_by_role("link").first.click()
        page.wait_for_url("**filter=team**")
        expect(page.get_by_role("heading", name=re.compile("by model, of team team-1.*"))).to_be_visible()
        expect(page.locator(".chips")).to_contain_text("team: team-1")
        page.close()


def _check_copy(browser: Browser, url: str, rows: list[str]) -> None:
    copy = browser.new_page(viewport={"width": 1440, "height": 900})
    copy.goto(url)
    expect(copy.get_by_text("13–24 of 100")).to_be_visible()
    copied = read_rows(copy.locator(".tally table").last.inner_text())
    assert [row.split("\t")[0] for row in copied] == [row.split("\t")[0] for row in rows]
    copy.close()


def read_rows(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("team-")]
