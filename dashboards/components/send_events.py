"""How events come in: a token from a button, the lines that send the first one, and a file."""

import secrets
from datetime import UTC, datetime

import streamlit as st

from dashboards.components.html import draw_note
from dashboards.sources import arrivals, loopback, usage
from dashboards.sources.warehouse import guard_fragment, home
from dashboards.spelling import read_name
from ledger.errors import TallyError
from ledger.home.tokens import create_token
from ledger.settings import Settings

TOKEN_PLACEHOLDER = "tally_…"
"""Stands for a token until there is one."""
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
    """Say how events come in, one way after the other."""
    st.subheader("Send an event over HTTP", anchor="http")
    _show_http()
    st.subheader("Import a trace or events you have", anchor="import")
    st.code("tally import FILE --set model=gpt-4o --set team=search", language="bash")
    st.write(
        "It reads the Azure LLM inference trace (CSV), the Mooncake trace (JSONL), and CloudEvents of our own "
        "as NDJSON; `tally import --help` says more."
    )
    st.subheader("Look at a made-up organization", anchor="demo")
    st.code("tally demo", language="bash")


@st.fragment
@guard_fragment
def _show_http() -> None:
    """A token that was made is shown until this is drawn again, and kept nowhere."""
    url = arrivals.find_api_url()
    if url is None:
        st.info("The HTTP door of this home does not run. `tally up` starts it, with everything else.")
        return
    token = _offer_token()
    st.code(f"export TALLY_URL={url}\nexport TALLY_TOKEN={token or TOKEN_PLACEHOLDER}", language="bash")
    st.write("Then one event, from a shell. Sent twice, it is counted once.")
    if "first_event" not in st.session_state:  # the same each time that this is drawn
        now = datetime.now(UTC).isoformat(timespec="seconds")
        st.session_state.first_event = {"id": secrets.token_hex(4), "time": now}
    st.code(CURL.format(**st.session_state.first_event), language="bash", wrap_lines=True)
    st.write("Or from Python, where `usage` takes the response of a provider as it came:")
    st.code(PYTHON, language="python", wrap_lines=True)


def _offer_token() -> str | None:
    """The token that was just made, if one was."""
    exposure = loopback.find_exposure()
    if exposure is not None:
        st.warning("A token is not made here, since others than you may see this page. Make one in a terminal:")
        draw_note(exposure)
        st.code("tally token create --organization NAME --role write", language="bash")
        return None
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.text_input("Organization", value=_find_default_organization(), max_chars=256, width=280)
        is_pressed = st.button("Make a token", type="primary", icon=":material/key:")
    if not is_pressed:
        st.caption("It may send events of this organization, and nothing else. `tally token revoke` takes it back.")
        return None
    try:
        token, bearer = create_token(home(), [name.strip()], ["write"])
    except TallyError as error:
        st.error("There is no token for that.")
        draw_note(str(error))
        return None
    st.session_state.made_a_token = True
    st.success(f"Token {token.id} is made, and shown this once: the home keeps its hash alone. Copy it now.")
    return bearer


def _find_default_organization() -> str:
    """Whose calls the ledger has most of, or the one that commands mean."""
    settings = Settings()
    organizations = [] if "organization" in settings.model_fields_set else usage.list_values("organization")
    return read_name(organizations[0]) if organizations else settings.organization
