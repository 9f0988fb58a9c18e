"""The app that ``tally dashboards serve`` runs: the pages, and what they share."""

from importlib import import_module

import streamlit as st

from dashboards import theme
from dashboards.access import open_id
from dashboards.page_list import FORMER_PAGES, PAGES

st.set_page_config(page_title="Tallystick", page_icon=theme.MARK, layout="wide")
st.html(theme.CSS)
st.logo(theme.LOGO, size="large")
if not open_id.is_signed_in():
    st.navigation([st.Page(open_id.page, title="Sign in")], position="hidden").run()
    st.stop()
page = st.navigation(
    [
        st.Page(
            import_module(page.module).page,
            title=page.title,
            url_path=page.name,
            default=page is PAGES[0],
            visibility="visible" if page.is_in_menu else "hidden",
        )
        for page in (*PAGES, *FORMER_PAGES)
    ],
    position="top",
)
st.set_page_config(page_title=f"{page.title} · Tallystick")
page.run()
open_id.offer_sign_out()
