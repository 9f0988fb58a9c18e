"""Every server of a home answers to its own names alone, and forbids frames and guessing on each answer."""

import asyncio
import http.client
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp.test_utils import TestClient, TestServer

from ledger.home.presence import find_presence
from ledger.http.host_check import AllowedHosts
from ledger.log.kafka.cluster import parse_cluster
from ledger.log.open import open_log
from ledger.settings import Settings
from streams.kafka.worker import _build_app
from tests.tally.conftest import COMMAND, ROOT, eventually, home_environment, invoke

SERVERS = {
    "api": ("api serve", ("/healthz", "/openapi.json", "/metrics", "/v1/token", "/nothing")),
    "metrics": ("metrics serve", ("/metrics", "/")),
    "warehouse": ("warehouse serve", ("/ping", "/", "/?query=select%201", "/nothing")),
    "dashboards": (
        "dashboards serve",
        ("/", "/trust", "/_stcore/health", "/_stcore/host-config", "/_stcore/metrics", "/favicon.png", "/sign-in"),
    ),
}


@contextmanager
def serving(home: Path, service: str, **environment: str) -> Iterator[tuple[str, int]]:
    """A service in a process of its own; its host and port."""
    command = [*COMMAND, *SERVERS[service][0].split()]
    process = subprocess.Popen(command, cwd=ROOT, env=home_environment({"TALLY_HOME": str(home), **environment}))
    try:
        eventually(lambda: find_presence(home, service) is not None or process.poll() is not None)
        facts = find_presence(home, service)
        assert facts is not None
        url = urlsplit(facts["url"])
        yield str(url.hostname), int(url.port or 0)
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[str, int]]]:
    home = tmp_path_factory.mktemp("named")
    open_log(Settings(home=home), new=True).close()
    with ExitStack() as stack:
        yield {
            service: stack.enter_context(serving(home, service, TALLY_HOSTS="tally.example.org")) for service in SERVERS
        }


def ask(server: tuple[str, int], path: str, *hosts: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    """Answer of a request that names these hosts."""
    connection = http.client.HTTPConnection(*server, timeout=20)
    try:
        connection.putrequest(method, path, skip_host=True)
        for host in hosts:
            connection.putheader("Host", host)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize("service", SERVERS)
def test_a_server_answers_to_its_own_names_alone(service: str, servers: dict[str, tuple[str, int]]) -> None:
    server = servers[service]
    for path in SERVERS[service][1]:
        for host in ("localhost", f"127.0.0.1:{server[1]}", "tally.example.org", "TALLY.example.org.:443"):
            assert ask(server, path, host)[0] != 421, path
        for hosts in (["evil.example"], [f"evil.example:{server[1]}"], ["localhost.evil.example"]):
            status, _, body = ask(server, path, *hosts)
            assert status == 421 and b"TALLY_HOSTS" in body, path
        for hosts in ([], ["localhost", "evil.example"]):
            assert ask(server, path, *hosts)[0] in (400, 421), path


@pytest.mark.parametrize("service", SERVERS)
def test_each_answer_forbids_frames_and_guessing(service: str, servers: dict[str, tuple[str, int]]) -> None:
    for path in SERVERS[service][1]:
        for host in ("localhost", "evil.example"):
            status, headers, _ = ask(servers[service], path, host)
            assert "frame-ancestors 'none'" in headers["content-security-policy"], (path, status)
            assert headers["x-frame-options"] == "DENY" and headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] in ("no-referrer", "same-origin")


def test_a_setting_that_is_no_name_is_told_with_the_way_out(tmp_path: Path) -> None:
    command = invoke("status", TALLY_HOME=str(tmp_path), TALLY_HOSTS="https://tally.example.org")
    assert command.returncode == 2
    assert "TALLY_HOSTS" in command.stderr and "without scheme and port" in command.stderr


def test_a_worker_on_kafka_answers_to_its_own_names_alone(tmp_path: Path) -> None:
    async def statuses() -> list[tuple[int, str]]:
        app: Any = _build_app(parse_cluster("kafka://127.0.0.1:9/x"), 0, tmp_path, AllowedHosts())
        async with TestClient(TestServer(app.web.web_app)) as client:
            answers = [await client.get("/", headers={"Host": host}) for host in ("localhost:1", "evil.example")]
            return [(answer.status, answer.headers["X-Frame-Options"]) for answer in answers]

    assert asyncio.run(statuses()) == [(404, "DENY"), (421, "DENY")], "it has pages only once it runs"
