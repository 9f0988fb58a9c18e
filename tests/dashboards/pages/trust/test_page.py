"""The page Trust: usage of unknown cost, held events that will not be counted, and what controls declare."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from dashboards.pages.trust import queries
from dashboards.pages.trust.declarations import describe_body
from dashboards.slices import Slice
from tests.dashboards.amendments import Ledger, Story, find_month
from tests.dashboards.feed import call
from tests.dashboards.screenshots import open_page, read_html


def read_rows(page_html: str, marker: str) -> list[str]:
    """Return the rows of tables that hold a text, without their tags."""
    rows = re.findall(r"<tr>(?:(?!<tr>).)*</tr>", page_html, re.DOTALL)
    texts = (re.sub(r"<[^>]*>", " ", row.replace("</td>", "|")) for row in rows)
    return [re.sub(r"\s+", " ", text) for text in texts if marker in text]


def test_a_model_of_unknown_cost_has_one_row_and_the_time_of_its_newest_unknown_call(
    amended: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls with and without a currency, of two providers; newer ones of known cost, and one that was reversed."""
    story = Story(amended.feed)
    newest = datetime.now(UTC).replace(minute=10, microsecond=123456) - timedelta(hours=5)
    times = [newest - timedelta(hours=2), newest - timedelta(minutes=2), newest]
    fields = {"model": "claude-haiku-4-5", "provider": "anthropic"}
    story.tell(
        call("silent", times[0], usage_source="missing", **fields),
        call("totals", times[1], reported_tokens={"input": 1_000_000}, max_tokens=100, **fields),
        call("elsewhere", times[2], reported_tokens={"input": 5}, **(fields | {"provider": "unheard-of"})),
        call("priced", newest + timedelta(minutes=1), tokens={"input": 5}, **fields),
        call("taken back", newest + timedelta(hours=1), usage_source="missing", **fields),
    )
    story.correct("taken back", "reversal")
    page_html = read_html(open_page(amended.settings, monkeypatch, "trust"))
    (row,) = read_rows(page_html, "claude-haiku-4-5")
    assert "anthropic, unheard-of" in row and f"{newest:%H:%M:%S}" in row
    assert "| 3|" in row and "without an upper bound" in row
    (usage,) = (row for row in queries.list_unknown_usage(Slice()) if row["model"] == "claude-haiku-4-5")
    assert usage["last_at"] == newest


@pytest.mark.parametrize(
    ("id", "detail"),
    [
        ("held", "held until"),
        ("held reversed", "taken back by"),
        ("held replaced", "replaced by"),
        ("held revised", "revised by"),
    ],
)
def test_a_held_event_that_will_not_be_counted_says_so(
    amended: Ledger, monkeypatch: pytest.MonkeyPatch, id: str, detail: str
) -> None:
    page_html = read_html(open_page(amended.settings, monkeypatch, "trust"))
    (row,) = (row for row in read_rows(page_html, "event_time_in_future") if f" {id} |" in row)
    assert detail in row and ("not counted" in row) == (id != "held")


def test_controls_say_what_they_declare(amended: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    page_html = read_html(open_page(amended.settings, monkeypatch, "trust"))
    details = {
        "contract.ended": "name spring",
        "contract.signed": "name spring, document ",
        "price_book.adopted": "name test again, document ",
        "price.restated": "first offset ",
        "model.aliased": "name prod-chat, priced provider openai, priced model gpt-4o",
    }
    for control_type, detail in details.items():
        assert any(detail in row for row in read_rows(page_html, control_type)), control_type
    closed = read_rows(page_html, "period.closed")
    assert any(f"month {find_month(2)}|" in row and "applied" in row for row in closed)
    assert any(f"month {find_month(3)}; " in row and "is closed already" in row for row in closed)


def test_a_correction_without_effect_names_its_event(amended: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    page_html = read_html(open_page(amended.settings, monkeypatch, "trust"))
    (row,) = (row for row in read_rows(page_html, "ineffective") if "nobody" in row)
    assert "reversal of gateway/nobody&#x27;s : no event before it has this identity" in row
    assert "call?source=gateway&amp;id=nobody%27s&amp;organization=acme" in page_html


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"month": "2026-10"}, "month 2026-10"),
        ({"name": "x", "document": "0123456789ab" + "c" * 52}, "name x, document 0123456789ab…"),
        ({"agreement": "a", "regions": ["eu", "us"]}, "agreement a, regions eu, us"),
        ({}, ""),
        (None, ""),
    ],
)
def test_the_fields_of_any_control_are_described(body: object, text: str) -> None:
    assert describe_body(body) == text
