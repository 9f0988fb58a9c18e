"""Failures of a ledger toward its clients: it dies, is slow or full, answers nonsense, and comes back."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ledger.log.open import open_log
from ledger.settings import Settings
from tallystick import Client
from tests.ingest.api.conftest import Served
from tests.sdk.conftest import group_by_source, list_files, read_inferences
from tests.tally.conftest import eventually

if TYPE_CHECKING:
    from tests.kafka.cluster import Cluster

Lines = list[dict[str, object]]


class Scripted(ThreadingHTTPServer):
    """Answers as it is told, request after request, and well when nothing more is told."""

    def __init__(self) -> None:
        self.script: list[Callable[[BaseHTTPRequestHandler, Lines], None]] = []
        self.taken: Lines = []
        self.requests: list[tuple[float, int]] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Scripted

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        lines = [json.loads(line) for line in body.split(b"\n")]
        self.server.requests.append((time.monotonic(), len(lines)))
        if self.server.script:
            self.server.script.pop(0)(self, lines)
        else:
            well(self, lines)

    def log_message(self, *_: object) -> None:
        pass


def reply(handler: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def well(handler: BaseHTTPRequestHandler, lines: Lines, refused: int = 0) -> None:
    assert isinstance(handler, _Handler)
    handler.server.taken += lines[refused:]
    results: list[dict[str, object]] = [{"field": "data.model", "reason": "is not what enters"}] * refused
    results += [{"partition": 0, "offset": 0, "event_index": index} for index in range(len(lines) - refused)]
    reply(handler, 200, json.dumps({"results": results}).encode())


@pytest.fixture
def script_server() -> Iterator[Scripted]:
    server = Scripted()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def sender(script_server: Scripted, tmp_path: Path) -> Iterator[Client]:
    client = Client(script_server.url, "t", source="app", spool=tmp_path)
    yield client
    client.close(0)


def await_delivery(sender: Client, script_server: Scripted, count: int) -> None:
    """All that was recorded was taken at last, each after the one before, whatever was sent again."""
    eventually(lambda: sender.counts.pending == 0)
    first = list(dict.fromkeys(event["sequence"] for event in script_server.taken))
    assert first == list(range(1, count + 1))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda handler, lines: reply(handler, 500, b"oops"), "answers 500"),
        (lambda handler, lines: reply(handler, 503, b"{}", Retry_After="0"), "answers 503"),
        (lambda handler, lines: reply(handler, 401, b"{}"), "does not accept the token (401): check TALLY_TOKEN"),
        (lambda handler, lines: reply(handler, 404, b"{}"), "answers 404"),
        (lambda handler, lines: reply(handler, 302, b"", Location="http://127.0.0.1:9/"), "answers 302"),
        (lambda handler, lines: reply(handler, 200, b"<html>sign in</html>"), "is no ledger: check TALLY_URL"),
        (lambda handler, lines: reply(handler, 200, b'{"results":[]}'), "answered 0 of"),
        (lambda handler, lines: handler.connection.close(), "does not answer"),
        (
            lambda handler, lines: handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"),
            "does not answer",
        ),
    ],
)
def test_what_was_not_answered_is_sent_again(
    sender: Client, script_server: Scripted, caplog: pytest.LogCaptureFixture,
    answer: Callable[[BaseHTTPRequestHandler, Lines], None], message: str,
) -> None:  # fmt: skip
    script_server.script += [answer, answer]
    for _ in range(30):
        sender.record(model="m")
    await_delivery(sender, script_server, 30)
    assert message in caplog.text and sender.counts == (30, 30, 0, 0, 0, 0)


def test_what_the_ledger_refuses_is_said_and_holds_up_nothing(
    sender: Client, script_server: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse_two(handler: BaseHTTPRequestHandler, lines: Lines) -> None:
        if len(lines) < 2:  # the sender may be quicker than the loop below
            script_server.script.append(refuse_two)
        well(handler, lines, refused=2 if len(lines) >= 2 else 0)

    script_server.script.append(refuse_two)
    for _ in range(10):
        sender.record(model="m")
    eventually(lambda: sender.counts.pending == 0)
    assert sender.counts == (10, 8, 2, 0, 0, 0)
    assert "the ledger refused 2 events: data.model is not what enters" in caplog.text


def test_a_ledger_says_when_to_come_again(sender: Client, script_server: Scripted) -> None:
    script_server.script.append(lambda handler, lines: reply(handler, 503, b"{}", Retry_After="2"))
    sender.record(model="m")
    eventually(lambda: len(script_server.requests) == 2)
    (first, _), (second, _) = script_server.requests
    assert second - first >= 1.9
    await_delivery(sender, script_server, 1)


def test_a_proxy_that_takes_less_gets_less_and_more_again_once_it_takes_it(
    sender: Client, script_server: Scripted
) -> None:
    def small(handler: BaseHTTPRequestHandler, lines: Lines) -> None:
        script_server.script.append(small)
        if len(lines) > 10:
            reply(handler, 413, b"")
        else:
            well(handler, lines)

    script_server.script.append(small)
    for _ in range(100):
        sender.record(model="m")
    await_delivery(sender, script_server, 100)
    script_server.script.clear()
    request_count = len(script_server.requests)
    for _ in range(200):
        sender.record(model="m")
    await_delivery(sender, script_server, 300)
    assert max(lines for _, lines in script_server.requests[request_count:]) > 10


def test_the_spool_takes_what_comes_while_the_ledger_is_away(
    client: Client, api_server: Served, tmp_path: Path
) -> None:
    """Several files of the spool; the API is killed while it takes them, and comes back where it was."""
    for _ in range(100):
        client.record(model="m")
    eventually(lambda: client.counts.delivered > 0)
    api_server.kill()
    for _ in range(3000):
        client.record(model="m", feature="while it was away", team="search", project="assistant")
    assert len(list_files(tmp_path / "spool")) > 2
    api_server.start()
    eventually(lambda: client.counts.delivered > 1000)
    api_server.kill()
    client.record(model="m", feature="the last")
    api_server.start()
    assert client.flush(60)
    events = group_by_source(read_inferences(api_server))[client.source]
    assert [event["sequence"] for event in events] == list(range(1, 3102))
    eventually(lambda: not list_files(tmp_path / "spool"))


def test_a_broker_that_dies_under_the_api_costs_nothing(own: "Cluster", tmp_path: Path) -> None:
    served = Served(Settings(home=tmp_path / "home", log=f"kafka://{own.bootstrap}"))
    open_log(served.settings, new=True).close()
    served.start()
    client = Client(served.address.geturl(), served.bearer("write"), source="app", spool=tmp_path / "spool")
    try:
        for _ in range(300):
            client.record(model="m")
        eventually(lambda: client.counts.delivered > 0)
        own.kill()
        for _ in range(300):
            client.record(model="m")
        own.start()
        assert client.flush(180), client.counts
        events = group_by_source(read_inferences(served))[client.source]
        assert [event["sequence"] for event in events] == list(range(1, 601))
    finally:
        client.close(0)
        served.kill()
