"""Links of the page Overview: what a reader chose stays chosen behind a name."""

from streamlit.testing.v1 import AppTest

SCRIPT = """
import streamlit as st
from dashboards.pages.overview.filters import Choice

choice = Choice("7d", (), {"team": ["search"]}, "EUR")
st.json({"overview": choice.to_parameters(), "explore": choice.to_explore_parameters("team")})
"""


def test_a_link_keeps_currency_and_measure() -> None:
    app = AppTest.from_string(SCRIPT)
    app.query_params["currency"], app.query_params["show"] = "EUR", "tokens"
    links = app.run().json[0].value
    for text in ('"currency": "EUR"', '"show": "tokens"', '"filter": ["team:search"]'):
        assert text in links
    assert links.count('"currency": "EUR"') == 2
