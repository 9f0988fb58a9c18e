"""A running HTTP API: a process of `tally api serve`, and requests to it."""

import http.client
import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from ledger.home.presence import find_any_presence, find_presence
from ledger.home.tokens import Role, create_token
from ledger.log import Record, partition_of, records
from ledger.log.open import open_log
from ledger.log.topics import EVENTS, Topic
from ledger.settings import Settings
from tests.tally.conftest import COMMAND, ROOT, eventually, home_environment

NDJSON, JSON, BATCH = "application/x-ndjson", "application/cloudevents+json", "application/cloudevents-batch+json"


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Served:
    """``tally api serve`` of a home, and who may come: bearers by what they may."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.bearers: dict[str, str] = {}
        self.process: subprocess.Popen[bytes] | None = None
        self._port = 0
        self._log = settings.home / "api.log"
        settings.home.mkdir(parents=True, exist_ok=True)

    def start(self) -> None:
        """On a free port at first, and there again."""
        environment = {"TALLY_HOME": str(self.settings.home), "TALLY_API_PORT": str(self._port)} | (
            {"TALLY_LOG": self.settings.log} if self.settings.log else {}
        )
        with self._log.open("ab") as output:
            self.process = subprocess.Popen(
                [*COMMAND, "api", "serve"], cwd=ROOT, env=home_environment(environment),
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip
        eventually(lambda: find_presence(self.settings.home, "api") is not None)
        facts = find_presence(self.settings.home, "api")
        assert facts
        self.address = urlsplit(facts["url"])
        self._port = self.address.port or 0

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()

    def bearer(self, *roles: Role, organizations: tuple[str, ...] = ("acme",)) -> str:
        name = f"{organizations} {roles}"
        if name not in self.bearers:
            _, self.bearers[name] = create_token(self.settings.home, organizations, roles)
        return self.bearers[name]

    def send(
        self, body: bytes, kind: str = NDJSON, bearer: str | None = None, timeout: float = 60, **headers: str
    ) -> Answer:
        bearer_token = self.bearer("write") if bearer is None else bearer
        header_fields = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.ask(
            "/v1/events",
            "POST",
            body,
            timeout,
            **{"Authorization": f"Bearer {bearer_token}", "Content-Type": kind} | header_fields,
        )

    def ask(
        self, path: str, method: str = "GET", body: bytes | None = None, timeout: float = 60, **headers: str
    ) -> Answer:
        assert self.address.hostname
        connection = http.client.HTTPConnection(self.address.hostname, self.address.port, timeout=timeout)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return Answer(response.status, {n.lower(): v for n, v in response.getheaders()}, response.read())
        finally:
            connection.close()


@pytest.fixture(scope="module")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One for a file of tests, on the embedded log."""
    server = Served(Settings(home=tmp_path_factory.mktemp("api") / "home"))
    server.start()
    yield server
    server.kill()


@contextmanager
def folding(settings: Settings) -> Iterator[None]:
    """Run a worker of the folds."""
    variables = {"TALLY_HOME": str(settings.home)} | ({"TALLY_LOG": settings.log} if settings.log else {})
    with (settings.home / "worker.log").open("ab") as output:
        worker = subprocess.Popen(
            [*COMMAND, "streams", "worker"], cwd=ROOT, env=home_environment(variables),
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        eventually(lambda: find_any_presence(settings, "streams") is not None)
        yield
    finally:
        worker.terminate()
        worker.wait()


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One for a file of tests, with a worker of the folds."""
    server = Served(Settings(home=tmp_path_factory.mktemp("gate") / "home"))
    server.start()
    try:
        with folding(server.settings):
            yield server
    finally:
        server.kill()


@pytest.fixture
def own_server(either: str | None, tmp_path: Path) -> Iterator[Served]:
    """One for a test, not started, on either log."""
    server = Served(Settings(home=tmp_path / "home", log=either))
    yield server
    server.kill()


Call = Callable[..., dict[str, Any]]


def call(id: str, source: str = "app", **fields: Any) -> dict[str, Any]:
    """An inference as an application sends it."""
    data = {"model": "gpt-4o", "provider": "openai", "tokens": {"input": 10}} | fields
    return {
        "specversion": "1.0", "id": id, "source": source, "time": "2026-06-01T12:00:00Z",
        "type": "tallystick.inference.v1", "data": data,
    }  # fmt: skip


def lines(*events: dict[str, Any]) -> bytes:
    return b"\n".join(json.dumps(event).encode() for event in events)


def read_events(api_server: Served, organization: str = "acme", topic: Topic = EVENTS) -> list[Record]:
    with closing(open_log(api_server.settings)) as log:
        stored = list(records(log, topic, partition_of(organization)))
    return [record for record in stored if record.organization == organization]
