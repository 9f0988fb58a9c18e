"""Streamlit in this process, on loopback or where TALLY_BIND says, announced when it answers."""

import contextlib
from collections.abc import AsyncIterator
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import uvicorn

from ledger.home.locks import service_lock
from ledger.home.ports import bind_port, find_reachable_address
from ledger.home.presence import announce
from ledger.home.secrets import ensure_secret
from ledger.settings import Settings
from tally.output import err

SERVICE = "dashboards"
APP = Path(__file__).parent / "app" / "main.py"
MAX_CONNECTIONS = 1_000
BACKLOG = 256
SHUTDOWN_TIMEOUT_S = 3
MAX_MESSAGE_BYTES = 8 << 20
"""Of what a browser sends at once: the state of a page's controls."""


def serve(settings: Settings) -> None:
    """Serve the pages until SIGTERM or SIGINT. TallyError where port or home is taken."""
    with (
        service_lock(settings.home, SERVICE),
        bind_port(settings.dashboards_port, SERVICE, "TALLY_DASHBOARDS_PORT", settings.bind) as listening,
    ):
        listening.listen(BACKLOG)
        port = listening.getsockname()[1]
        _configure(settings.bind, port)
        config = uvicorn.Config(
            _build_application(settings, f"http://{find_reachable_address(settings.bind)}:{port}"),
            log_level="warning", access_log=False, server_header=False, http="h11", ws="websockets-sansio",
            ws_max_size=MAX_MESSAGE_BYTES, limit_concurrency=MAX_CONNECTIONS,
            timeout_graceful_shutdown=SHUTDOWN_TIMEOUT_S,
            proxy_headers=False,  # who is at the other end is known from the connection, not from what it says
        )  # fmt: skip
        uvicorn.Server(config).run([listening])


def _build_application(settings: Settings, url: str) -> Any:
    """The app behind its gate, and behind the check of its names."""
    from starlette.requests import Request
    from starlette.responses import HTMLResponse
    from starlette.routing import Route
    from streamlit.starlette import App

    from dashboards.access.gate import PATHS, Gate, render_index_page, build_page_headers, read_streamlit_index
    from dashboards.access.open_id import is_configured
    from dashboards.access.sign_ins import SignIns
    from ledger.http.guard import AsgiGuard

    password = None if is_configured() else ensure_secret(settings.home, SERVICE)
    if not settings.bind.is_loopback:
        method = "with OpenID Connect" if password is None else "with the password that `tally status` tells"
        err.print(f"[yellow]TALLY_BIND {settings.bind}: people sign in {method}. It is plain HTTP: put TLS before it[/]")
    html = render_index_page(read_streamlit_index(), "Tallystick")

    async def index(request: Request) -> HTMLResponse:
        return HTMLResponse(html, headers={"Cache-Control": "no-cache"})

    @contextlib.asynccontextmanager
    async def announced(_: App) -> AsyncIterator[None]:
        announce(settings.home, SERVICE, url=url, **({"password": password} if password else {}))
        yield

    app = App(APP, lifespan=announced, routes=[Route(f"/{path}", index) for path in ("", *PATHS)])
    gate = Gate(app, str(settings.bind), SignIns(password) if password else None)
    return AsgiGuard(gate, settings.build_allowed_hosts(settings.bind), build_page_headers(html))


def _configure(bind: IPv4Address, port: int) -> None:
    from streamlit.web import bootstrap

    from dashboards.theme import OPTIONS

    options = OPTIONS | {
        "server.headless": True,
        "server.address": str(bind),
        "server.port": port,
        "server.fileWatcherType": "none",
        "server.enableXsrfProtection": True,
        "server.enableAgentApi": False,
        "global.developmentMode": False,
        "logger.hideWelcomeMessage": True,
    }
    bootstrap.load_config_options({name.replace(".", "_"): value for name, value in options.items()})
