"""A receiver of webhooks, and a home whose folds and deliverer run."""

import json
import subprocess
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from alerting import routes
from alerting.delivery_store import Deliveries
from alerting.routes import Channel, Route
from alerting.worker import begin_at_end
from ingest.intake.batch import Batch, Envelope
from ingest.intake.intake import open_intake
from ledger.home.presence import find_any_presence
from ledger.log.open import open_log
from ledger.settings import Settings
from tally.session import opened
from tests.ingest.api.conftest import call
from tests.tally.conftest import COMMAND, ROOT, eventually, home_environment


class Receiver(ThreadingHTTPServer):
    """Takes what comes, and answers 204, or as it is told."""

    def __init__(self) -> None:
        self.taken: list[tuple[dict[str, str], bytes]] = []
        self.status: Callable[[int], int] = lambda number: 204
        self.headers: dict[str, str] = {}
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook"

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    def bodies(self) -> list[bytes]:
        return [body for _, body in self.taken]

    def messages(self, kind: str = "") -> list[dict[str, Any]]:
        return [said for _, body in self.taken if (said := json.loads(body)).get("type", "").startswith(kind)]


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        self._take()

    def do_PUT(self) -> None:
        self._take()

    def _take(self) -> None:
        length = int(self.headers["Content-Length"])
        body = self.rfile.read(length)
        if len(body) < length:  # the sender was killed, so a receiver has no request
            return
        self.server.taken.append(({name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(self.server.status(len(self.server.taken)))
        for header in self.server.headers.items():
            self.send_header(*header)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


class Telling:
    """Folds and deliverer of a home, as processes that can be killed."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        with opened(settings, new=True):
            pass

    def start(self, name: str, **environment: str) -> None:
        command = {"alerts": "alerts deliver", "streams": "streams worker"}[name].split()
        environment |= {"TALLY_HOME": str(self.settings.home), "TALLY_LOG": self.settings.log or ""}
        with (self.settings.home / f"{name}.said").open("ab") as said:
            self.running[name] = subprocess.Popen(
                [*COMMAND, *command], cwd=ROOT, env=home_environment(environment), stdout=said, stderr=said
            )
        eventually(lambda: find_any_presence(self.settings, name) is not None or self.running[name].poll() is not None)

    def stop(self) -> None:
        for process in self.running.values():
            process.kill()
            process.wait()

    def hook(self, url: str, organization: str = "acme", channel: Channel = "webhook") -> Route:
        """As `tally alerts webhook` does."""
        self.begin()
        return routes.set_webhook(self.settings.home, organization, url, channel)

    def route(self, channel: Channel, address: str, **limits: Any) -> Route:
        """As `tally alerts route add` does."""
        self.begin()
        return routes.add_route(self.settings.home, "acme", channel, address, **limits)

    def begin(self) -> None:
        """Have the deliverer begin now where there is no route yet."""
        log, deliveries = open_log(self.settings), Deliveries(self.settings.home)
        if not routes.list_routes(self.settings.home):
            begin_at_end(log, deliveries)
        log.close()
        deliveries.close()

    def loops(self, *sessions: str, organization: str = "acme") -> None:
        """Each of these sessions calls a tool alike four times, now."""
        tool = {"tool": "grep", "tool_arguments_hash": "a", "tool_result_hash": "r", "agent": "crawler"}
        log = open_log(self.settings)
        entrance = open_intake(self.settings.home, organization)
        batch = Batch(log, Envelope(organization, "test", "test"), entrance.key)
        for session in sessions:
            for _ in range(4):
                event = call(uuid.uuid4().hex, session=session, **tool) | {"time": datetime.now(UTC).isoformat()}
                batch.add(entrance.accept_event(event).line)
        batch.append()
        log.close()

    def states(self) -> dict[str, int]:
        deliveries = Deliveries(self.settings.home)
        try:
            return deliveries.count_by_state()
        finally:
            deliveries.close()


@pytest.fixture
def telling(either: str | None, tmp_path: Path) -> Iterator[Telling]:
    one = Telling(Settings(home=tmp_path / "home", log=either))
    yield one
    one.stop()


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Telling]:
    one = Telling(Settings(home=tmp_path / "home"))
    yield one
    one.stop()
