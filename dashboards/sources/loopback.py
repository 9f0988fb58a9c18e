"""Who may be given a token, or see the names of persons: only somebody at this machine, with our own page open.

The gate lets in nobody else from loopback than the home's owner, and who has signed in with the home's password."""

import streamlit as st

from dashboards.access import open_id
from dashboards.access.visitor import find_remote_reason, find_foreign_reason


def find_exposure() -> str | None:
    """By which way others than who sits at this machine may be looking at this page; None where by none."""
    if not open_id.is_signed_in():
        return "nobody has signed in"
    return find_connection_exposure(st.get_option("server.address"), {name.lower(): value for name, value in st.context.headers.items()})


def find_connection_exposure(bind: str | None, headers: dict[str, str]) -> str | None:
    """The same of an address to listen at (None is all there are) and the headers of a connection."""
    return find_remote_reason(bind, headers) or find_foreign_reason(headers)
