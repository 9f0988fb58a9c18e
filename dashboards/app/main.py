"""The app that ``tally dashboards serve`` runs: the pages, and what they share."""

import streamlit as st

from dashboards import theme
from dashboards.access import open_id
from dashboards.pages.budgets import page as budgets
from dashboards.pages.call import page as call
from dashboards.pages.overview import page as overview
from dashboards.pages.runaways import page as runaways
from dashboards.pages.start import page as start
from dashboards.pages.trust import page as trust

st.set_page_config(page_title="Tallystick", page_icon=theme.MARK, layout="wide")
st.html(theme.CSS)
st.logo(theme.LOGO, size="large")
if not open_id.is_signed_in():
    st.navigation([st.Page(open_id.page, title="Sign in")], position="hidden").run()
    st.stop()
st.navigation(
    [
        st.Page(overview.page, title="Overview", url_path="overview", default=True),
        st.Page(budgets.page, title="Budgets", url_path="budgets"),
        st.Page(runaways.page, title="Runaways", url_path="runaways"),
        st.Page(trust.page, title="Trust", url_path="trust"),
        st.Page(start.page, title="Start here", url_path="start"),
        st.Page(call.page, title="Call", url_path="call", visibility="hidden"),
    ],
    position="top",
).run()
open_id.offer_sign_out()
