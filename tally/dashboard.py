"""Streamlit in this process, on loopback, announced when it truly answers."""

import threading
import time
import urllib.request
from pathlib import Path

from ledger.home import announce, only_one
from ledger.settings import Settings
from tally.ports import HOST, free_port

PART = "dashboards"
APP = Path(__file__).parents[1] / "dashboards" / "app.py"
_ASK_S = 0.1


def serve(settings: Settings) -> None:
    """Serve the pages until SIGTERM or SIGINT. TallyError where port or home is taken."""
    with only_one(settings.home, PART):
        port = free_port(settings.dashboards_port, PART, "TALLY_DASHBOARDS_PORT")
        url = f"http://{HOST}:{port}"
        threading.Thread(target=_announce, args=(settings, url), daemon=True).start()
        _streamlit(port)


def _streamlit(port: int) -> None:
    from streamlit.web import bootstrap

    from dashboards.theme import OPTIONS

    options = {name.replace(".", "_"): value for name, value in OPTIONS.items()} | {
        "server_headless": True,
        "server_address": HOST,
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
