"""The condition for new tokens and for names of persons: a viewer at this machine, with our own page open.

From loopback the gate admits only the home's owner, and viewers who signed in with the home's password."""

import streamlit as st

from dashboards.access import open_id
from dashboards.access.visitor import find_foreign_reason, find_remote_reason


def find_exposure() -> str | None:
    """Explain how a viewer at another machine may see this page; None where none can."""
    if not open_id.is_signed_in():
        return "nobody has signed in"
    headers = {name.lower(): value for name, value in st.context.headers.items()}
    return find_connection_exposure(st.get_option("server.address"), headers, st.get_option("server.port"))


def find_connection_exposure(bind: str | None, headers: dict[str, str], port: int | None) -> str | None:
    """Explain the same for a bind address (None is every address), a connection's headers and the server's port."""
    return find_remote_reason(bind, headers) or find_foreign_reason(headers, port)
