"""Streamlit in this process, on loopback or where TALLY_BIND says, announced when it truly answers."""

import threading
import time
import urllib.request
from ipaddress import IPv4Address
from pathlib import Path

from ledger.home import announce, only_one
from ledger.ports import free_port, reached_at
from ledger.settings import Settings
from tally.output import err

PART = "dashboards"
APP = Path(__file__).parents[1] / "dashboards" / "app.py"
_ASK_S = 0.1


def serve(settings: Settings) -> None:
    """Serve the pages until SIGTERM or SIGINT. TallyError where port or home is taken."""
    with only_one(settings.home, PART):
        port = free_port(settings.dashboards_port, PART, "TALLY_DASHBOARDS_PORT", settings.bind)
        url = f"http://{reached_at(settings.bind)}:{port}"
        if not settings.bind.is_loopback:
            err.print(f"[yellow]TALLY_BIND {settings.bind}: who reaches it sees every figure; there is no login[/]")
        threading.Thread(target=_announce, args=(settings, url), daemon=True).start()
        _streamlit(settings.bind, port)


def _streamlit(bind: IPv4Address, port: int) -> None:
    from streamlit.web import bootstrap

    from dashboards.theme import OPTIONS

    options = {name.replace(".", "_"): value for name, value in OPTIONS.items()} | {
        "server_headless": True,
        "server_address": str(bind),
        "server_port": port,
        "server_fileWatcherType": "none",
        "global_developmentMode": False,
        "logger_hideWelcomeMessage": True,
    }
    bootstrap.load_config_options(options)
    bootstrap.run(str(APP), False, [], options)


def _announce(settings: Settings, url: str) -> None:
    while True:
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=5):
                break
        except OSError:
            time.sleep(_ASK_S)
    announce(settings.home, PART, url=url)
