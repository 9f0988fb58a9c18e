"""The server of the pages: Streamlit in this process, on loopback or at TALLY_BIND, announced when it answers."""

import contextlib
from collections.abc import AsyncIterator
from http import HTTPStatus
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
"""Limit of a browser's message: the state of a page's controls."""


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
    """Build the app behind its gate, and behind the check of its host names."""
    from starlette.requests import Request
    from starlette.responses import HTMLResponse, RedirectResponse
    from starlette.routing import Route
    from streamlit.starlette import App

    from dashboards.access.gate import Gate, build_page_headers, read_streamlit_index, render_index_page
    from dashboards.access.open_id import is_configured
    from dashboards.access.sign_ins import SignIns
    from dashboards.page_list import PAGES
    from ledger.http.guard import AsgiGuard

    password = None if is_configured() else ensure_secret(settings.home, SERVICE)
    if not settings.bind.is_loopback:
        method = "with OpenID Connect" if password is None else "with the password that `tally status` shows"
        err.print(
            f"[yellow]TALLY_BIND {settings.bind}: people sign in {method}. "
            "The connection is plain HTTP: put a TLS proxy in front[/]"
        )
    html = render_index_page(read_streamlit_index(), "Tallystick")

    async def serve_index(request: Request) -> HTMLResponse:
        return HTMLResponse(html, headers={"Cache-Control": "no-cache"})

    async def lead_to_root(request: Request) -> RedirectResponse:
        query = request.url.query
        return RedirectResponse(f"/?{query}" if query else "/", HTTPStatus.TEMPORARY_REDIRECT)

    @contextlib.asynccontextmanager
    async def announced(_: App) -> AsyncIterator[None]:
        announce(settings.home, SERVICE, url=url, **({"password": password} if password else {}))
        yield

    # Streamlit gives its first page no path of its own, and reports a path that it does not know as an error.
    routes = [Route("/", serve_index), Route(f"/{PAGES[0].name}", lead_to_root)]
    app = App(APP, lifespan=announced, routes=[*routes, *(Route(f"/{page.name}", serve_index) for page in PAGES[1:])])
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
