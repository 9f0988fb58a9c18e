"""The page that says how to begin: without a browser what it shows to whom, and with one the whole way."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st
from playwright.sync_api import Page, expect
from streamlit import config
from streamlit.testing.v1 import AppTest

from dashboards.sources import loopback
from ledger.home import tokens
from ledger.settings import Settings
from tests.dashboards.browser import CHROMIUM, await_metric, read_metric
from tests.dashboards.feed import BOOK, ORGANIZATION, Feed
from tests.dashboards.screenshots import open_page, read_html
from tests.dashboards.server import ROOT, dashboards, running_api


@pytest.fixture
def on_loopback(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The pages on loopback, and a browser that has them from there: a test without one sends no headers."""
    headers = {"Host": "127.0.0.1:8501", "Origin": "http://127.0.0.1:8501"}
    monkeypatch.setattr(type(st.context), "headers", property(lambda _: headers))
    config.set_option("server.address", "127.0.0.1")
    yield
    config.set_option("server.address", None)


@pytest.fixture(scope="module")
def api_url(empty: Settings) -> Iterator[str]:
    """The address of the HTTP API of the empty ledger."""
    with running_api(empty) as url:
        yield url


def codes(app: AppTest) -> str:
    return "\n".join(code.value for code in app.code)


@pytest.mark.parametrize(
    ("bind", "host", "origin", "word"),
    [
        ("127.0.0.1", "127.0.0.1:8501", "http://127.0.0.1:8501", None),
        ("127.0.0.1", "localhost:8501", "http://localhost:8501", None),
        ("127.0.0.1", "localhost:8501", "http://localhost:9999", "http://localhost:9999"),
        ("127.0.0.1", "localhost:8501", "http://127.0.0.1:8501", "http://127.0.0.1:8501"),
        ("127.0.0.1", "localhost:8501", "https://localhost:8501", "https://localhost:8501"),
        ("127.0.0.1", "localhost:8501", None, "no page"),
        ("127.0.0.1", "localhost:8501", "null", "null"),
        ("127.0.0.1", "ledger.example.org", "https://ledger.example.org", "ledger.example.org"),
        ("0.0.0.0", "127.0.0.1:8501", "http://127.0.0.1:8501", "0.0.0.0"),
        ("10.0.0.7", "127.0.0.1:8501", "http://127.0.0.1:8501", "10.0.0.7"),
        (None, "localhost:8501", "http://localhost:8501", "every address"),
        ("localhost.example.org", "localhost:8501", "http://localhost:8501", "localhost.example.org"),
    ],
)  # fmt: skip
def test_only_our_own_page_at_this_machine_gets_a_token(
    bind: str | None, host: str, origin: str | None, word: str | None
) -> None:
    headers = {"host": host} | ({"origin": origin} if origin is not None else {})
    reason = loopback.find_connection_exposure(bind, headers, 8501)
    assert reason is None if word is None else word in (reason or "")


def test_without_the_http_api_it_says_what_starts_it(
    empty: Settings, on_loopback: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_page(empty, monkeypatch, "start")
    assert not app.button and "`tally up`" in app.info[0].value


def test_an_empty_ledger_says_how_to_begin_and_where(
    empty: Settings, api_url: str, on_loopback: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for app in (open_page(empty, monkeypatch), open_page(empty, monkeypatch, "start")):
        assert app.header[0].value in ("The ledger is empty", "Start here")
        assert f"TALLY_URL={api_url}" in codes(app) and "tally import FILE" in codes(app)
        assert "from tallystick import Client" in codes(app) and "Waiting for the first event" in read_html(app)
        assert not tokens.list_tokens(empty.home), "only the button makes one"


def test_a_ledger_without_budgets_or_runaways_says_so(empty: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_page(empty, monkeypatch, "budgets")
    assert app.header[0].value == "No grants yet" and "tally grant create" in app.code[0].value
    app = open_page(empty, monkeypatch, "incidents")
    assert "What is running away now" in app.header[0].value and "Nothing: no agent" in app.markdown[0].value


def test_a_token_is_shown_once_and_may_write_alone(
    empty: Settings, api_url: str, on_loopback: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_page(empty, monkeypatch, "start")
    app.text_input[0].set_value(" acme ")
    app.button[0].click().run()
    (bearer,) = re.findall(r"TALLY_TOKEN=(tally_\w+\S*)", codes(app))
    token = tokens.Tokens(empty.home).find(bearer)
    assert token is not None and (token.organizations, token.roles) == (("acme",), ("write",))
    assert bearer not in repr(app.session_state), "it is kept nowhere"
    app.run()
    assert bearer not in codes(app) + read_html(app)
    tokens.revoke_token(empty.home, token.id)


@pytest.mark.parametrize("name", ["", "   ", "_platform"])
def test_an_organization_that_cannot_have_a_token_is_named(
    empty: Settings, api_url: str, on_loopback: None, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    before = tokens.list_tokens(empty.home)
    app = open_page(empty, monkeypatch, "start")
    app.text_input[0].set_value(name)
    app.button[0].click().run()
    assert "No token" in app.error[0].value and f"&#x27;{name.strip()}&#x27;" in read_html(app)
    assert tokens.list_tokens(empty.home) == before


@pytest.mark.parametrize("address", [None, "0.0.0.0", "192.0.2.7"])
def test_strangers_get_no_token(
    empty: Settings, api_url: str, monkeypatch: pytest.MonkeyPatch, address: str | None
) -> None:
    config.set_option("server.address", address)
    app = open_page(empty, monkeypatch, "start")
    config.set_option("server.address", None)
    assert not app.button and "Create one in a terminal" in app.warning[0].value
    assert "tally token create" in codes(app)


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="NOT TESTED: chromium is not installed")
def test_with_a_token_of_the_button_the_first_event_comes_in_and_is_seen(
    page: Page, empty: Settings, api_url: str, tmp_path: Path
) -> None:
    """The lines of the page are run as they are shown."""
    feed = Feed(empty)
    feed.adopt("test", BOOK)
    with dashboards(empty) as url:
        page.goto(f"{url}/start")
        expect(page.get_by_text("Waiting for the first event")).to_be_visible()
        page.get_by_role("textbox", name="Organization").fill(ORGANIZATION)
        page.get_by_role("button", name="Create token").click()
        exports = page.get_by_test_id("stCode").filter(has_text="TALLY_TOKEN=tally_").filter(has_not_text="…")
        expect(exports).to_be_visible()
        export, curl, python = (
            page.get_by_test_id("stCode").filter(has_text=words).locator("code").inner_text()
            for words in ("TALLY_TOKEN=", "curl $TALLY_URL", "import Client")
        )
        answer = json.loads(_shell(f"{export}\n{curl}", tmp_path))
        assert answer["accepted"] == 1, answer
        feed.carry()
        expect(page.get_by_text("The newest one is counted")).to_be_visible()
        expect(exports).to_be_visible()
        page.get_by_role("link", name=re.compile("^curl ")).click()
        expect(page.get_by_role("heading", name="Entries")).to_be_visible()

        page.goto(url)
        assert read_metric(page, "Calls") == "1"
        assert json.loads(_shell(f"{export}\n{curl}", tmp_path))["accepted"] == 1, "the same once more"
        _shell(f"{export}\n{sys.executable} - <<'END'\n{python}\nEND", tmp_path)
        feed.carry()
        assert await_metric(page, "Calls", "1") == "2"
    feed.close()


def _shell(lines: str, spool: Path) -> str:
    environment = os.environ | {"TALLY_SPOOL": str(spool), "PYTHONPATH": str(ROOT / "sdk")}
    result = subprocess.run(["bash", "-euc", lines], env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout
