"""The page Budgets over a warehouse with hundreds of grants: headline, tree, search, pages, and refusals explained."""

import re
from decimal import Decimal

import pytest

from dashboards.pages.budgets import refusal, tables
from dashboards.pages.budgets.tables import build_extend_command, describe_window
from dashboards.sources.warehouse import Row
from ingest.api import admissions, leases
from ledger.settings import Settings
from tests.dashboards.feed import MARKUP_NAME, ORGANIZATION
from tests.dashboards.pages.budgets.conftest import FULL_COUNT, SQUAD_COUNT
from tests.dashboards.screenshots import open_page, read_html, read_metrics

HOLDER_COUNT = SQUAD_COUNT + 4
"""The squads, product, search, growth, and a budget."""


def test_the_headline_counts_every_grant_and_budget(granted: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_page(granted, monkeypatch, "budgets")
    assert read_metrics(app) == {
        "Grants and budgets": str(HOLDER_COUNT), "At the limit": str(FULL_COUNT + 1), "Near the limit": "0",
        "Will be used up": "0", "Stopped": "1", "Refused in 24 h": "14",
    }  # fmt: skip
    page_html = read_html(app)
    assert f"{FULL_COUNT + 1} of {HOLDER_COUNT} are at the limit" in page_html
    assert "14 asks were refused in 24 h, 13 of them by search." in page_html
    assert f"1–12 of {HOLDER_COUNT}" in [caption.value for caption in app.caption]
    assert page_html.index(">product</a>") < page_html.index(">growth</a>") < page_html.index(">search</a>")
    assert 'title="$0.00 used, $3.00 reserved of $3.00"' in page_html and "the log&#x27;s time" in page_html


def test_each_grant_is_reached_by_pages_search_and_state(granted: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    last = -(-HOLDER_COUNT // 12)
    page_html = read_html(open_page(granted, monkeypatch, "budgets", list_page=str(last)))
    assert "budget: warns only" in page_html and ">team quiet</a>" in page_html
    page_html = read_html(open_page(granted, monkeypatch, "budgets", list_search="SQUAD-51"))
    names = re.findall(r">(squad-\d+)</a>", page_html)
    assert names == [f"squad-51{digit}" for digit in range(10)] and "product › " in page_html
    assert "&lt;b&gt;*bold*" in page_html and MARKUP_NAME not in page_html
    full = open_page(granted, monkeypatch, "budgets", budgets="at limit", list_page="3")
    assert f"25–{FULL_COUNT + 1} of {FULL_COUNT + 1}" in [caption.value for caption in full.caption]
    assert read_metrics(full)["Grants and budgets"] == str(HOLDER_COUNT), "the headline does not depend on the view"
    stopped = open_page(granted, monkeypatch, "budgets", budgets="stopped")
    assert "paused" in read_html(stopped) and ">search</a>" not in read_html(stopped).partition("Refused, UTC")[0]
    near = open_page(granted, monkeypatch, "budgets", budgets="near limit")
    assert "No grant or budget is in this state." in [caption.value for caption in near.caption]


def test_a_refusal_is_explained_by_one_link(granted: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    page_html = read_html(open_page(granted, monkeypatch, "budgets", refusals_search="ask-14"))
    (key,) = set(re.findall(r"refusal=([\d-]+)", page_html))
    app = open_page(granted, monkeypatch, "budgets", refusal=key)
    page_html = read_html(app)
    assert "It may take $1.00, and search has $0.00 left in 1 day: calls under way hold the rest." in page_html
    assert "asking again can help" in page_html and "gpt-4o, 100,000 tokens, team search" in page_html
    assert app.code[0].value.split("\n") == [
        "tally grant why ask-14", "tally grant show search", "tally grant extend search --limit billed:AMOUNTUSD/1d",
    ]  # fmt: skip
    page_html = read_html(open_page(granted, monkeypatch, "budgets", refusals_search="wide"))
    assert "the grant does not allow this model" in page_html


def test_a_grant_shows_the_limits_on_its_path_and_its_refusals(
    granted: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_page(granted, monkeypatch, "budgets", grant="search", organization=ORGANIZATION)
    page_html = read_html(app)
    assert "models gpt-4o, gpt-4o-mini" in page_html and "at the limit: deny" in page_html
    assert "$3.00 billed in 1 day" in page_html and "$9,000,000.00 billed a month" in page_html
    assert "1–12 of 13" in [caption.value for caption in app.caption]
    assert "tally grant extend search --limit billed:6USD/1d" in app.code[0].value
    above = open_page(granted, monkeypatch, "budgets", grant="product", organization=ORGANIZATION, below_search="grow")
    assert ">growth</a>" in read_html(above) and ">search</a>" not in read_html(above)


def test_decisions_on_grants_are_no_budget_crossings(granted: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    page_html = read_html(open_page(granted, monkeypatch, "trust"))
    assert [name for name in ("admission.", "grant.", "lease.") if f"unknown usage {name}" in page_html] == []


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ({"grant": "none"}, "No such grant"),
        ({"refusal": "1-2"}, "No such refusal"),
        ({"refusal": "x"}, "No such refusal"),
    ],
)
def test_a_link_to_nothing_is_a_sentence(
    granted: Settings, monkeypatch: pytest.MonkeyPatch, query: dict[str, str], text: str
) -> None:
    assert text in open_page(granted, monkeypatch, "budgets", **query).info[0].value


def test_a_ledger_without_grants_says_how_to_give_one(empty: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_page(empty, monkeypatch, "budgets")
    assert app.header[0].value == "No grants yet" and app.code[0].value.startswith("tally grant create ")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("3600s", "in 1 hour"), ("total", "in total"), ("day@UTC", "a day"),
        ("month@Europe/Berlin", "a month, Europe/Berlin"), ("quarter@UTC+4", "a quarter, from month 4"),
    ],
)  # fmt: skip
def test_a_window_is_said_in_words(name: str, text: str) -> None:
    assert describe_window(name) == text


def test_commands_hold_names_as_words_of_a_shell() -> None:
    assert build_extend_command("$(rm)", "tokens//5400s") == "tally grant extend '$(rm)' --limit tokens:AMOUNT/90m"
    assert build_extend_command("fiscal", "billed/USD/quarter@UTC+4") == (
        "tally grant extend fiscal --limit billed:AMOUNTUSD/quarter --first-month 4"
    ), "without its first month it is another limit"
    row = {"ask_id": "a; b", "grant_name": "", "needed_amount": None, "limit_key": "", "reason": "duplicate"}
    assert refusal.list_commands(row) == ["tally grant why 'a; b'"]


@pytest.mark.parametrize("reason", sorted({*admissions.REASONS, *leases.REASONS}))
def test_each_reason_of_a_refusal_is_explained_with_what_helps(reason: str) -> None:
    row: Row = {"reason": reason, "grant_name": "search", "limit_key": "", "detail": "models", "refills_at": None}
    row |= {"left_amount": None, "needed_amount": None}
    assert reason in tables.REASONS or reason in ("revoked", "expired", "paused", "not started")
    (remedy,) = refusal.list_remedies(row)
    assert remedy.endswith(".")


def test_what_floors_keep_is_not_called_used() -> None:
    row: Row = {"reason": "floor", "grant_name": "search", "limit_key": "billed/USD/day@UTC", "detail": "chat"}
    row |= {"left_amount": Decimal(1), "needed_amount": Decimal(2)}
    assert refusal.explain(row).endswith("search has $1.00 left a day: it keeps the rest for grants with a floor.")
    assert "left" not in refusal.explain(row | {"reason": "unknown usage"})
