"""Instructions for sending events: a token from a button, the lines for a first event, and a file."""

import secrets
from datetime import UTC, datetime

import streamlit as st

from dashboards.components.html import draw_note
from dashboards.sources import arrivals, loopback, usage
from dashboards.sources.warehouse import guard_fragment, home
from dashboards.spelling import read_name
from ledger.errors import TallyError
from ledger.file_formats import list_titles
from ledger.home.tokens import create_token
from ledger.settings import Settings

TOKEN_PLACEHOLDER = "tally_…"
"""Stands for a token before one is created."""
CURL = """\
curl $TALLY_URL/v1/events \\
  -H "Authorization: Bearer $TALLY_TOKEN" -H "Content-Type: application/cloudevents+json" -d '{{
    "specversion": "1.0", "type": "tallystick.inference.v1",
    "source": "curl", "id": "{id}", "time": "{time}",
    "data": {{"model": "gpt-4o", "team": "search", "tokens": {{"input": 1200, "output": 300}}}}
  }}'"""
PYTHON = """\
from tallystick import Client

client = Client(source="my-app")  # TALLY_URL and TALLY_TOKEN say where to
client.record(model="gpt-4o", team="search", usage={"prompt_tokens": 1200, "completion_tokens": 300})"""


def show_ways() -> None:
    """Show the ways to send events."""
    st.subheader("Send an event over HTTP", anchor="http")
    _show_http()
    st.subheader("Import a file", anchor="import")
    st.code("tally import FILE --set model=gpt-4o --set team=search", language="bash")
    st.write(
        f"Supported formats: {list_titles()}; any other CSV, JSONL or Parquet with `--mapping`. "
        "See `tally import --help`."
    )
    st.subheader("Explore a demo organization", anchor="demo")
    st.code("tally demo", language="bash")


@st.fragment
@guard_fragment
def _show_http() -> None:
    """Show how to send an event over HTTP. A new token is shown until this is drawn again, and kept nowhere."""
    url = arrivals.find_api_url()
    if url is None:
        st.info("The HTTP API of this home is not running. Start it, with all other services, with `tally up`.")
        return
    token = _offer_token()
    st.code(f"export TALLY_URL={url}\nexport TALLY_TOKEN={token or TOKEN_PLACEHOLDER}", language="bash")
    st.write("Then send one event from a shell. Sent twice, it is counted once.")
    if "first_event" not in st.session_state:  # the same each time that this is drawn
        now = datetime.now(UTC).isoformat(timespec="seconds")
        st.session_state.first_event = {"id": secrets.token_hex(4), "time": now}
    st.code(CURL.format(**st.session_state.first_event), language="bash", wrap_lines=True)
    st.write("Or from Python. `usage` takes a provider's response as is:")
    st.code(PYTHON, language="python", wrap_lines=True)


def _offer_token() -> str | None:
    """Offer a token to the home's owner, and return the one that was just created, if any."""
    exposure = loopback.find_exposure()
    if exposure is not None:
        st.warning("Tokens are not created here, since others than you may see this page. Create one in a terminal:")
        draw_note(exposure)
        st.code("tally token create --organization NAME --role write", language="bash")
        return None
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.text_input("Organization", value=_find_default_organization(), max_chars=256, width=280)
        is_pressed = st.button("Create token", type="primary", icon=":material/key:")
    if not is_pressed:
        st.caption(
            "The token may send events of this organization and nothing else. Revoke it with `tally token revoke`."
        )
        return None
    try:
        token, bearer = create_token(home(), [name.strip()], ["write"])
    except TallyError as error:
        st.error("No token was created.")
        draw_note(str(error))
        return None
    st.session_state.made_a_token = True
    st.success(f"Created token {token.id}. Copy it now: it is shown once, and the home keeps only its hash.")
    return bearer


def _find_default_organization() -> str:
    """Return the organization with the most calls, or the one in the settings."""
    settings = Settings()
    organizations = [] if "organization" in settings.model_fields_set else usage.list_values("organization")
    return read_name(organizations[0]) if organizations else settings.organization
