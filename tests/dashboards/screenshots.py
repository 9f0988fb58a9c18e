"""Pages without a browser, for tests."""

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from ledger.settings import Settings
from tests.dashboards.server import ROOT

APP = str(ROOT / "dashboards" / "app" / "main.py")


def open_page(settings: Settings, monkeypatch: pytest.MonkeyPatch, page: str = "", **query: str | list[str]) -> AppTest:
    """A page of this home, without the app around it; without a name, the app."""
    monkeypatch.setenv("TALLY_HOME", str(settings.home))
    st.cache_data.clear()  # figures may be some seconds old, and a test adds events in less
    script = f"from dashboards.pages.{page} import page\npage.page()"
    app = AppTest.from_string(script, default_timeout=120) if page else AppTest.from_file(APP, default_timeout=120)
    for name, value in query.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception, app.exception
    return app


def read_metrics(app: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in app.metric}


def read_html(app: AppTest) -> str:
    return "\n".join(str(part.proto.body) for part in app.get("html"))
