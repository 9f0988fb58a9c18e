"""Sign-in with OpenID Connect, where Streamlit's secrets configure it under ``[auth]``."""

import importlib.util
from typing import Any

import streamlit as st
from streamlit.runtime.secrets import secrets_singleton

from dashboards.access.sign_ins import COOKIE_PREFIX
from ledger.errors import TallyError


def is_configured() -> bool:
    """Tell whether an identity provider is configured. TallyError where the package for it is missing."""
    if not _section():
        return False
    if importlib.util.find_spec("authlib") is None:
        raise TallyError(
            "Streamlit's secrets.toml configures a sign-in under [auth], and the package Authlib is missing: install "
            "it (`pip install Authlib`), or remove [auth] to sign in with the home's password"
        )
    return True


def list_providers(section: dict[str, Any]) -> list[str | None]:
    """Return the providers' names; None is a provider without one."""
    named_providers: list[str | None] = [
        name for name, value in section.items() if isinstance(value, dict) and "client_id" in value
    ]
    return [*([None] if "client_id" in section else []), *named_providers]


def is_signed_in() -> bool:
    """Tell whether the viewer has signed in with the provider; True where no provider is configured."""
    return not _section() or bool(st.user.get("is_logged_in"))


def page() -> None:
    """Ask for a sign-in; nothing of the ledger is queried or shown before."""
    st.header("Sign in", anchor=False)
    st.write("Sign in with the identity provider of this home to see its dashboards.")
    for name in list_providers(_section()):
        if st.button(f"Sign in with {name}" if name else "Sign in", key=f"provider {name}", type="primary"):
            st.login(name)


def offer_sign_out() -> None:
    """Show a sign-out to viewers who have signed in, with a provider or with the home's password."""
    if _section():
        if st.button("Sign out", type="tertiary"):
            st.logout()
    elif any(name.startswith(COOKIE_PREFIX) for name in st.context.cookies):
        st.html('<div class="tally"><a class="soft" href="sign-out">Sign out</a></div>')


def _section() -> dict[str, Any]:
    if not secrets_singleton.load_if_toml_exists():
        return {}
    section = secrets_singleton.get("auth")
    return section.to_dict() if section else {}
