"""Envoy and nginx with the configurations of docs/gateways.md, before a service that repeats what it was sent."""

import json
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import ROOT, Ledger

HOST = "models.example.com"
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
BODY = {"model": "gpt-4o", "messages": []}
CALLS = {"meter": "calls", "amount": 1}
Proxy = Callable[..., httpx.Response]


class Echo(BaseHTTPRequestHandler):
    """Answers with the headers and the body of the request."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        content = json.dumps({"path": self.path, "headers": headers, "body": json.loads(body)}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture(scope="module")
def service() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()


def find_free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def read_configuration(label: str, ledger: Ledger, team: str, service: int, port: int) -> str:
    """Return a configuration of the page, with the addresses, the token and the team of a test."""
    page = (ROOT / "docs/gateways.md").read_text()
    (text,) = re.findall(rf"```{label}\n(.*?)```", page, re.DOTALL)
    ledger_port = ledger.url.rpartition(":")[2]
    for found, value in (
        ("tally_…", ledger.bearer), ("8787", ledger_port), ("9000", str(service)), ("8080", str(port)),
        ("0.0.0.0", "127.0.0.1"), ("value: search", f"value: {team}"), ("Team search", f"Team {team}"),
    ):  # fmt: skip
        text = text.replace(found, value)
    return str(text)


@contextmanager
def running(command: list[Any], port: int, log: Path) -> Iterator[Proxy]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}/v1/chat/completions"

    def post(**headers: str) -> httpx.Response:
        fields = {"Host": HOST} | {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx.post(url, json=BODY, headers=fields, timeout=30)

    try:
        end_s = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < end_s, log.read_text()
                time.sleep(0.05)
        yield post
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def envoy(ledger: Ledger, team: str, service: int, folder: Path) -> Iterator[Proxy]:
    port = find_free_port()
    file = folder / "envoy.yaml"
    file.write_text(read_configuration("yaml envoy", ledger, team, service, port))
    command = [Path(sys.executable).with_name("envoy"), "-c", file, "--concurrency", "1", "-l", "warning"]
    with running([*command, "--use-dynamic-base-id"], port, folder / "envoy.log") as post:
        yield post


@contextmanager
def nginx(ledger: Ledger, team: str, service: int, folder: Path) -> Iterator[Proxy]:
    if NGINX is None:
        pytest.skip("NOT TESTED: there is no nginx on this machine (apt-get install nginx)")
    port = find_free_port()
    file = folder / "nginx.conf"
    head = f"daemon off; pid {folder}/nginx.pid; error_log stderr;\n"
    file.write_text(head + read_configuration("nginx", ledger, team, service, port))
    with running([NGINX, "-p", folder, "-c", file], port, folder / "nginx.log") as post:
        yield post


@pytest.mark.parametrize("proxy", [envoy, nginx])
def test_a_proxy_enforces_by_its_configuration(proxy: Any, ledger: Ledger, service: int, tmp_path: Path) -> None:
    team = f"proxy-{uuid.uuid4().hex[:8]}"
    ledger.give(team, CALLS)
    with proxy(ledger, team, service, tmp_path) as post:
        allowed = post(Tallystick_Team="a richer team", x_api_key="key-of-the-caller")
        assert allowed.status_code == 200, allowed.text
        sent = allowed.json()
        assert sent["body"] == BODY and sent["path"] == "/v1/chat/completions"
        admission = sent["headers"]["tallystick-admission"]
        assert "tally_" not in json.dumps(sent), "the token stays in the proxy"
        busy = post(Tallystick_Team="a richer team")
        assert (busy.status_code, busy.headers["retry-after"]) == (429, "1"), busy.text
        assert team in busy.text and "reserved" in busy.text
        assert ledger.release(admission) == 200
        ledger.give(team, control="grant.narrowed", paused=True)
        frozen = post()
        assert frozen.status_code == 403 and "paused" in frozen.text
        assert frozen.headers.get("retry-after") in (None, "")


@pytest.mark.parametrize(("proxy", "status"), [(envoy, 503), (nginx, 500)])
def test_nothing_is_called_where_the_ledger_does_not_answer(
    proxy: Any, status: int, ledger: Ledger, service: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "url", f"http://127.0.0.1:{find_free_port()}")
    with proxy(ledger, "nobody", service, tmp_path) as post:
        assert post().status_code == status
