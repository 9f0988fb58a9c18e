"""The page Call trees over a real warehouse: the answer, the timeline, the steps, and the list."""

import re
from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from ledger.settings import Settings
from tests.dashboards.pages.trees import calls
from tests.dashboards.pages.trees.conftest import Forest
from tests.dashboards.screenshots import open_page, read_html, read_metrics

Show = Callable[..., AppTest]


@pytest.fixture
def show(forest: Forest, monkeypatch: pytest.MonkeyPatch) -> Show:
    def open_trees(**query: str) -> AppTest:
        return open_page(forest.settings, monkeypatch, "trees", **query)

    return open_trees


def read_headings(app: AppTest) -> list[str]:
    return re.findall(r"<h2>(.*?)</h2>", read_html(app))


def read_rows(app: AppTest, heading: str) -> list[list[str]]:
    """Return the texts of the rows of the table with a column of this name."""
    table = next(text for text in read_html(app).split("<table>") if f">{heading}</th>" in text)
    rows = re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)[1:]
    return [[re.sub(r"<[^>]+>", " ", cell).strip() for cell in re.findall(r"<td.*?</td>", row)] for row in rows]


def read_titles(app: AppTest, heading: str = "With all below") -> list[str]:
    return [row[0].split("  ")[0] for row in read_rows(app, heading)]


@pytest.mark.parametrize("id", ["plan", "test-again"])
def test_any_call_of_a_tree_leads_to_its_cost_and_its_most_expensive_step(show: Show, id: str) -> None:
    app = show(source="gateway", id=id, organization="acme")
    page_html, figures = read_html(app), read_metrics(app)
    assert read_headings(app) == [
        "This call tree cost $0.4200 over 8 calls in 3 d. "
        "The most expensive step is edit_file (coder · claude-sonnet-4-5): $0.3000, 71.4%."
    ]
    assert figures["Spend"] == "$0.4200" and figures["Calls"] == "8"
    assert figures["Cache savings"] == "$0.2700" and figures["Gateway savings"] == "$0.03000"
    assert figures["Retries (1)"] == figures["Fallbacks (1)"] == "$0.01800" and figures["Failed (1)"] == "$0.006000"
    assert read_titles(app) == [
        "planner", "web_search", "read_page", "read_page", "edit_file", "run_tests", "run_tests", "reviewer",
    ]  # fmt: skip
    assert [row[-1] for row in read_rows(app, "With all below")[:2]] == ["$0.4200", "$0.06600"]
    assert "Owned by" in page_html and ">platform</a> (by event)" in page_html and "session=s-agents" in page_html
    assert 'class="mark over">error<' in page_html and ">cache hit<" in page_html and ">fallback<" in page_html
    assert "1 call of which the cost is not known" in page_html
    assert "2 d 23 h without a call are cut short" in page_html and 'class="cut"' in page_html


def test_outcomes_of_the_session_and_of_its_calls_are_listed(show: Show) -> None:
    rows = read_rows(show(session="s-agents", organization="acme"), "Evaluator")
    assert sorted((row[1], row[2], row[4]) for row in rows) == [
        ("correct", "0", "run_tests"), ("solved", "1", "session s-agents"),
    ]  # fmt: skip


def test_a_step_can_be_opened_alone(show: Show) -> None:
    whole = read_html(show(source="gateway", id="plan", organization="acme"))
    key = re.search(r'step=([0-9-]+)"[^>]*>3 below, 1 failed<', whole)
    assert key
    app = show(source="gateway", id="plan", organization="acme", step=key[1])
    assert read_titles(app)[:4] == ["edit_file", "run_tests", "run_tests", "reviewer"]
    assert "The whole call tree" in read_html(app)


def test_a_parent_that_comes_late_takes_its_place_under_the_same_link(show: Show, forest: Forest) -> None:
    link = {"source": "gateway", "id": "late-child", "organization": "acme"}
    before = show(**link)
    assert "1 step names a parent that is not known" in read_html(before)
    assert read_headings(before)[0].startswith("This call tree cost $2.65 over 2 calls")
    forest.add(calls.build_late_parent(forest.now))
    after = show(**link)
    assert "not known" not in read_html(after)
    assert read_headings(after)[0].startswith("This call tree cost $3.65 over 3 calls")


def test_a_missing_parent_and_a_circle_are_said(show: Show) -> None:
    lost = read_html(show(source="gateway", id="lost-child", organization="acme"))
    assert "1 step names a parent that is not known" in lost and ">parent not known<" in lost
    circle = show(source="gateway", id="hen", organization="acme")
    assert "in a circle. The earliest of them is drawn as the root." in read_html(circle)
    assert read_headings(circle)[0].startswith("This call tree cost $2.65 over 2 calls in 1.0 s.")
    assert [row[-1] for row in read_rows(circle, "With all below")] == ["$2.65", "–"]


def test_a_session_of_one_call(show: Show) -> None:
    app = show(session="s-one", organization="acme")
    assert read_headings(app) == ["This session cost $2.50 over 1 call."]
    assert not read_metrics(app).keys() & {"Duration", "Retries (1)"}
    assert "No outcome is known." in app.caption[-1].value


def test_a_session_that_causes_calls_of_another_has_its_own_cost(show: Show) -> None:
    caller = show(session="s-caller")
    assert read_headings(caller) == ["This session cost $2.50 over 1 call."]
    assert "Steps of this session caused calls of other sessions." in read_html(caller)
    assert "caused calls of other sessions" not in read_html(show(session="s-callee"))
    tree = show(source="gateway", id="callee")
    assert read_headings(tree)[0].startswith("This call tree cost $5.00 over 2 calls")
    assert "session=s-caller" in read_html(tree) and "session=s-callee" in read_html(tree)


def test_a_session_of_three_thousand_calls(show: Show) -> None:
    """Calls of 1 to 3,000 tokens at 0.15 for a million: $0.675225."""
    app = show(session="s-long")
    page_html = read_html(app)
    assert read_headings(app)[0].startswith("This session cost $0.6752 over 3,000 calls in 49 min 59 s. Most went to")
    assert read_metrics(app)["Failed (6)"] == "$0.001575" and read_metrics(app)["Tokens"] == "4.502M"
    assert "998 × read" in page_html and "998 × summarize" in page_html
    assert len(read_rows(app, "With all below")) < 45
    assert "1–12 of 3,000" in [caption.value for caption in app.caption]


def test_steps_are_filtered_searched_ordered_and_paged_by_the_link(show: Show) -> None:
    link = {"session": "s-long", "organization": "acme"}
    by_cost = [row[0] for row in read_rows(show(**link, only="failed", order="cost"), "Cached")]
    assert len(by_cost) == 6 and by_cost == sorted(by_cost, reverse=True), "later calls cost more"
    page = show(**link, steps_search="summarize", steps_page="84")
    assert len(read_rows(page, "Cached")) == 4 and "997–1,000 of 1,000" in [text.value for text in page.caption]
    assert "Nothing has this text." in [text.value for text in show(**link, steps_search="nothing").caption]


def test_the_most_expensive_are_listed_and_found(show: Show) -> None:
    trees = show(period="7d")
    assert "call trees cost $" in read_headings(trees)[0]
    costs = [float(row[-2].strip("$")) for row in read_rows(trees, "Retries")]
    assert costs == sorted(costs, reverse=True) and len(costs) == 8
    found = show(period="7d", call_trees_search="PLANNER")
    assert [row[1].split("  ")[0] for row in read_rows(found, "Retries")] == ["planner"]
    sessions = read_rows(show(period="7d", list="sessions"), "Session")
    assert [row[1].split("  ")[0] for row in sessions][2:5] == ["s-one", "s-long", "s-agents"]


def test_an_empty_period_names_one_that_is_not(show: Show) -> None:
    app = show(period="hour", list="sessions")
    assert "s-one" in read_html(app)
    app = show(period="hour")
    assert "s-long" not in read_html(app)


def test_names_are_text(show: Show) -> None:
    for app in (show(source="gateway", id="<b>id</b>"), show(period="7d"), show(period="7d", list="sessions")):
        page_html = read_html(app)
        assert "<img" not in page_html and "<b>*bold*" not in page_html and "&lt;b&gt;*bold*" in page_html


@pytest.mark.parametrize("query", [{"session": "s-none"}, {"source": "a", "id": "' or 1=1"}, {"session": ""}])
def test_a_link_to_nothing_says_what_to_do(show: Show, query: dict[str, str]) -> None:
    app = show(**query)
    assert "It may not have arrived yet, or the link is incomplete." in app.info[0].value
    assert 'href="trees' in read_html(app)


def test_an_empty_ledger_says_how_to_begin(empty: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for query in ({}, {"session": "s"}):
        app = open_page(empty, monkeypatch, "trees", **query)
        assert [heading.value for heading in app.header] == ["The ledger is empty"]
