"""The page of an event that was held, released, accepted, reversed, replaced or restated, and of a cache hit."""

import re

import pytest
from playwright.sync_api import Browser
from streamlit.testing.v1 import AppTest

from ledger.log import Position
from tests.dashboards.amendments import HELD_S, MODEL, Ledger, Story
from tests.dashboards.browser import BROWSER, TIMEOUT_MS
from tests.dashboards.screenshots import open_page, read_html, read_metrics
from tests.dashboards.server import dashboards
from warehouse.client import connect


def name(position: Position) -> str:
    return "-".join(map(str, position))


def read_notices(app: AppTest) -> str:
    return " ".join(notice.value for notice in [*app.warning, *app.info])


def read_entry_kinds(page_html: str) -> list[str]:
    return re.findall(r'>(counted|release|reversal|replacement|restatement)(?:</a>)?<span class="second', page_html)


@pytest.mark.parametrize(
    ("id", "line", "spend", "before"),
    [
        ("due", "due", "$5.00", "Held"),
        ("held released", "held released", "$2.50", "Held"),
        ("misreported", "misreported", "$2.50", "Quarantined"),
        ("contested", "contested conflict", "$5.00", "In conflict"),
    ],
)
def test_each_link_to_a_released_event_opens_the_whole_page(
    amended: Ledger, monkeypatch: pytest.MonkeyPatch, id: str, line: str, spend: str, before: str
) -> None:
    """By its identity, by its line and by its release. A release by a correction is on the page of the correction."""
    release = amended.find_release(id)
    for query in ({"source": "gateway", "id": id}, {"position": name(amended.positions[line])}, {"position": release}):
        app = open_page(amended.settings, monkeypatch, "call", **query)
        page_html = read_html(app)
        assert read_metrics(app)["Spend"] == spend, query
        assert read_entry_kinds(page_html) == ["release"], query
        assert "test/openai/gpt-4o#0" in page_html, query
        is_correction = app.header[0].value == "Correction"
        assert is_correction == ("position" in query and release.endswith("-0") and query["position"] == release)
        if is_correction:
            assert f">gateway/{id}</a>" in page_html
        else:
            assert f"{before}, then counted" in read_notices(app), query
            assert ">counted<" in page_html and f">{release}</a>" in page_html


def test_a_control_record_that_fell_due_is_found_at_its_release(
    amended: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_page(amended.settings, monkeypatch, "call", position=amended.find_release("due control"))
    assert app.header[0].value == "Control" and "Held, then counted" in read_notices(app)
    assert "prod-chat" in read_html(app)


def test_a_correction_that_fell_due_is_found_at_its_release_and_names_its_event(
    amended: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_page(amended.settings, monkeypatch, "call", position=amended.find_release("reversal later"))
    assert app.header[0].value == "Correction" and ">gateway/later</a>" in read_html(app)
    corrected = open_page(amended.settings, monkeypatch, "call", source="gateway", id="later")
    assert "Reversed" in read_notices(corrected) and read_metrics(corrected)["Tokens"] == "0"


@pytest.mark.parametrize(
    ("line", "notice", "spend"),
    [
        ("held reversed", "It will not be counted", None),
        ("held replaced", "It will not be counted", "$5.00"),
        ("held revised", "It will not be counted", None),
        ("due reversed", "It was not counted", None),
        ("due replaced", "It was not counted", "$5.00"),
    ],
)
def test_an_event_taken_out_of_force_while_it_was_held_is_not_announced(
    amended: Ledger, monkeypatch: pytest.MonkeyPatch, line: str, notice: str, spend: str | None
) -> None:
    app = open_page(amended.settings, monkeypatch, "call", position=name(amended.positions[line]))
    page_html = read_html(app)
    assert notice in read_notices(app) and "counted when that time comes" not in read_notices(app)
    assert "--release" not in page_html and "Held until" not in page_html
    assert read_metrics(app).get("Spend") == spend
    assert (">the newer event</a>" in page_html) == (line == "held revised")


def test_an_event_that_is_held_is_announced(amended: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_page(amended.settings, monkeypatch, "call", source="gateway", id="held")
    assert "It is counted when that time comes" in read_notices(app)
    assert "--release" in read_html(app) and "Held until" in read_html(app)


def test_an_event_reversed_again_after_it_was_replaced_while_held_counts_nothing(
    amended: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = Story(amended.feed)
    position = story.call("both", 1_000_000, HELD_S)
    story.correct("both", "replacement", tokens={"input": 3_000_000})
    story.correct("both", "reversal")
    app = open_page(amended.settings, monkeypatch, "call", position=name(position))
    assert "a correction reversed this event" in read_notices(app)
    assert read_metrics(app)["Tokens"] == "0" and read_entry_kinds(read_html(app)) == ["replacement", "reversal"]


def test_a_correction_of_another_organization_takes_nothing_back(
    amended: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = Story(amended.feed)
    line = story.build_correction("held", "reversal")
    amended.feed.append_as("beta", line)
    app = open_page(amended.settings, monkeypatch, "call", source="gateway", id="held")
    assert "It is counted when that time comes" in read_notices(app)


@pytest.mark.parametrize(
    ("id", "kinds", "spend"),
    [
        ("replaced", ["counted", "reversal", "replacement"], "$5.00"),
        ("restated", ["counted", "reversal", "restatement"], "$5.00"),
        ("reversed", ["counted", "reversal"], "$0.00"),
        ("misreported replaced", ["replacement"], "$5.00"),
    ],
)
def test_entries_stand_in_the_order_of_the_log_with_kind_and_time(
    amended: Ledger, monkeypatch: pytest.MonkeyPatch, id: str, kinds: list[str], spend: str
) -> None:
    app = open_page(amended.settings, monkeypatch, "call", source="gateway", id=id)
    page_html = read_html(app)
    assert read_entry_kinds(page_html) == kinds
    assert read_metrics(app)["Spend"] == spend
    assert page_html.count(" UTC</span>") == len(kinds)
    documents = {row[0] for row in _list_documents(amended, id)}
    shown = {document for document in documents if f">{document}</span>" in page_html}
    last = _list_documents(amended, id)[-1][0]
    assert shown == (set() if kinds[-1] == "reversal" else {last}), "the price is that of the entry in force"


def _list_documents(amended: Ledger, id: str) -> list[tuple[str]]:
    query = (
        "select price_document from tally.entries where id in ({id:String}, {correction:String}) order by offset, seq"
    )
    rows = connect(amended.settings).query(query, {"id": id, "correction": f"replacement {id}"}).result_rows
    return [(str(document),) for (document,) in rows]


def test_an_identity_leads_to_the_line_in_force_and_each_line_to_its_own(
    amended: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = open_page(amended.settings, monkeypatch, "call", source="gateway", id="revised")
    assert read_metrics(last)["Tokens"] == "2,000,000" and not read_notices(last)
    first = open_page(amended.settings, monkeypatch, "call", position=name(amended.positions["revised 1"]))
    assert "greater revision" in read_notices(first) and ">the newer event</a>" in read_html(first)
    contested = open_page(amended.settings, monkeypatch, "call", position=name(amended.positions["contested"]))
    assert "a conflict was accepted" in read_notices(contested) and ">the newer event</a>" in read_html(contested)


def test_a_quarantined_event_whose_bound_was_taken_back_may_cost_nothing(
    amended: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_page(amended.settings, monkeypatch, "call", source="gateway", id="misreported reversed")
    assert "taken back" in read_notices(app) and "May cost" not in read_html(app)


@pytest.mark.parametrize(
    ("id", "saved"), [("cached", "$2.50"), ("cached unknown", "$2.50"), ("cached unpriced", "not known")]
)
def test_a_cache_hit_says_what_it_saved(amended: Ledger, monkeypatch: pytest.MonkeyPatch, id: str, saved: str) -> None:
    app = open_page(amended.settings, monkeypatch, "call", source="gateway", id=id)
    assert "cache answered this call" in read_notices(app)
    figures = read_metrics(app)
    assert figures["Saved"] == saved and figures["Tokens"] == "1,000,000" and figures["Spend"] == "–"
    assert not any("used nothing" in caption.value for caption in app.caption)
    page_html = read_html(app)
    assert ("id=answer" in page_html) == (id == "cached")
    assert ("which has not arrived" in page_html) == (id == "cached unknown")


def test_a_cache_hit_is_one_after_it_was_released_or_replaced(amended: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    story = Story(amended.feed)
    story.call("cached early", 1_000_000, HELD_S, cached_from="answer")
    story.correct("cached early", "release")
    story.call("cached late", 500_000)
    story.correct("cached late", "replacement", tokens={"input": 2_000_000}, cached_from="answer")
    story.call("cached not", 1_000_000, cached_from="answer", response_cache="miss")
    for id, saved in (("cached early", "$5.00"), ("cached late", "$10.00")):
        app = open_page(amended.settings, monkeypatch, "call", source="gateway", id=id)
        assert read_metrics(app)["Saved"] == saved and "id=answer" in read_html(app), id
    story.call("cached of held", 1_000_000, cached_from="held")
    of_held = open_page(amended.settings, monkeypatch, "call", source="gateway", id="cached of held")
    assert "id=held&" in read_html(of_held), "the call may be counted later"
    miss = open_page(amended.settings, monkeypatch, "call", source="gateway", id="cached not")
    assert "Saved" not in read_metrics(miss) and read_metrics(miss)["Spend"] == "$5.00"


def test_costs_of_a_customers_key_are_notional(amended: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_page(amended.settings, monkeypatch, "call", source="gateway", id="own key")
    page_html = read_html(app)
    assert "List cost, notional" in page_html and "Contracted cost, notional" in page_html
    assert "own key paid" in page_html and read_metrics(app)["Spend"] == "$0.00"
    assert MODEL["model"] in page_html


@pytest.mark.browser
@pytest.mark.skipif(BROWSER[1].args[0], reason="NOT TESTED: chromium is not installed")
@pytest.mark.parametrize("width", [1440, 390])
def test_nothing_is_cut_off(amended: Ledger, browser: Browser, width: int) -> None:
    paths = ["trust", *(f"call?source=gateway&id={id}" for id in ("due", "replaced", "restated", "cached", "own key"))]
    page = browser.new_page(viewport={"width": width, "height": 1000})
    page.set_default_timeout(TIMEOUT_MS)
    with dashboards(amended.settings) as url:
        for path in paths:
            page.goto(f"{url}/{path}")
            page.get_by_role("heading", name="Controls" if path == "trust" else "Event data").wait_for()
            cut = page.evaluate(
                "[...document.querySelectorAll('.tally, .tally th, .tally td.name, [data-testid=stMetricLabel] p')]"
                ".filter(part => part.scrollWidth > part.clientWidth + 1).map(part => part.innerText)"
            )
            assert cut == [], path
    page.close()
