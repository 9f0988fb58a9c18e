"""Who may be given a token by a page that asks nobody who they are: only somebody at this machine."""

from ipaddress import ip_address
from urllib.parse import urlsplit

import streamlit as st


def may_come() -> str | None:
    """By which way others than who sits at this machine may be looking at this page; None where by none."""
    return way(st.get_option("server.address"), st.context.headers.get("Origin"))


def way(bound: str | None, origin: str | None) -> str | None:
    """The pages listen at an address (None is all there are), and a browser says whence it took them: a proxy or a
    tunnel would bring strangers to loopback, too."""
    if bound is None or not _is_loopback(bound):
        return f"the pages listen at {bound or 'every address of this machine'}"
    if origin is not None and not _is_loopback(host := urlsplit(origin).hostname or origin):
        return f"your browser has this page from {host}"
    return None


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
