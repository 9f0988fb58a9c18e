"""Streamlit in this process, on loopback, announced when it truly answers."""

import socket
import threading
import time
import urllib.request
from pathlib import Path

from ledger.errors import TallyError
from ledger.home import announce, only_one
from ledger.settings import Settings

PART = "dashboards"
HOST = "127.0.0.1"
APP = Path(__file__).parents[1] / "dashboards" / "app.py"
_ASK_S = 0.1


def serve(settings: Settings) -> None:
    """Serve the pages until SIGTERM or SIGINT. TallyError where port or home is taken."""
    with only_one(settings.home, PART):
        port = free_port(settings.dashboards_port)
        url = f"http://{HOST}:{port}"
        threading.Thread(target=_announce, args=(settings, url), daemon=True).start()
        _streamlit(port)


def free_port(wanted: int) -> int:
    """This port, or any that is free where it is 0. TallyError where it is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted))
        except OSError as error:
            raise TallyError(
                f"the dashboards cannot listen on TALLY_DASHBOARDS_PORT {wanted} ({error.strerror}): "
                "choose another port, or 0 for any free one"
            ) from None
        return int(probe.getsockname()[1])


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
