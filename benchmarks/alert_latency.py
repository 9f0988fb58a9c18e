"""The latency of a runaway alert: from the call that makes a session a runaway until its webhook has the message.

``python -m benchmarks.alert_latency [RUNAWAYS]``. Agents begin to loop at random moments, five a second, each with as
many calls alike as it takes, in one record; a moment counts from when that record is handed to the log. Beside it the
post alone: the same messages, signed and sent one after the other to the same receiver.
"""

import json
import random
import statistics
import sys
import tempfile
import threading
import time
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from alerting import routes
from alerting.channels.transport import send
from alerting.delivery_store import Deliveries
from alerting.messages import Message
from alerting.wording import Context
from alerting.worker import begin_at_end
from benchmarks.harness import workload
from ingest.intake.batch import Envelope
from ingest.intake.intake import open_intake
from ledger.log import Log
from ledger.log.topics import EVENTS
from ledger.runaway_rules import Thresholds
from ledger.settings import Settings
from tally.processes.join import needing
from tally.processes.service import ALERTS, STREAMS
from tally.session import opened

RUNAWAYS_PER_S, TIMEOUT_S = 5.0, 60
TOOL = {"tool": "search", "tool_arguments_hash": "a", "tool_result_hash": "r", "agent": "crawler"}


class Receiver(ThreadingHTTPServer):
    """Keeps the time of each session's first alert, and the bodies."""

    def __init__(self) -> None:
        self.alert_times: dict[str, float] = {}
        self.bodies: list[dict[str, object]] = []
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.alert_times.setdefault(body["data"]["session"], time.perf_counter())
        self.server.bodies.append(body)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def main(runaways: int = 300) -> None:
    receiver = Receiver()
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{receiver.server_port}"
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder))
        with opened(settings, new=True) as log:
            with closing(Deliveries(settings.home)) as deliveries:
                begin_at_end(log, deliveries)
            webhook = routes.set_webhook(settings.home, workload.ORGANIZATION, url, "webhook")
            with needing(settings, [STREAMS, ALERTS]):
                call_times = _append_runaways(settings, log, runaways)
                deadline = time.monotonic() + TIMEOUT_S
                while len(receiver.alert_times) < runaways and time.monotonic() < deadline:
                    time.sleep(0.1)
    assert receiver.alert_times.keys() == call_times.keys(), f"{len(receiver.alert_times)} of {runaways} alerts arrived"
    delays = [receiver.alert_times[session] - call_time for session, call_time in call_times.items()]
    post_times = [_time_post(webhook, body) for body in receiver.bodies[:runaways]]
    print(f"{runaways} runaways, {RUNAWAYS_PER_S:.0f} a second")
    for name, seconds in {"call to webhook": delays, "the post alone": post_times}.items():
        quantiles = statistics.quantiles(seconds, n=100)
        print(f"{name:16} p50 {quantiles[49]:6.3f} s   p99 {quantiles[98]:6.3f} s")
    print(f"call to webhook / the post alone, p50: {statistics.median(delays) / statistics.median(post_times):.0f}")


def _append_runaways(settings: Settings, log: Log, runaways: int) -> dict[str, float]:
    """Append the sessions, and return the time of each one's call that makes it a runaway."""
    chance = random.Random(1)
    intake = open_intake(settings.home, workload.ORGANIZATION)
    envelope = Envelope(workload.ORGANIZATION, "benchmark", "benchmark")
    call_times: dict[str, float] = {}
    for number in range(runaways):
        time.sleep(chance.expovariate(RUNAWAYS_PER_S))
        session = f"session-{number}"
        repeats = range(Thresholds().repeated_tool)
        lines = [intake.accept_event(_call(f"{number}-{repeat}", session)).line for repeat in repeats]
        call_times[session] = time.perf_counter()
        log.append(EVENTS, [envelope.make_draft(b"\n".join(lines))])
    return call_times


def _call(id: str, session: str) -> dict[str, object]:
    data = {"model": "gpt-4o", "provider": "openai", "session": session, "tokens": {"input": 10}, **TOOL}
    envelope = {"specversion": "1.0", "id": id, "source": "benchmark", "type": "tallystick.inference.v1"}
    return {**envelope, "time": "2026-06-01T00:00:00Z", "data": data}


def _time_post(webhook: routes.Route, body: dict[str, object]) -> float:
    message = Message("again", webhook.organization, str(body["type"]), 0, dict(body["data"]))  # type: ignore[call-overload]
    start = time.perf_counter()
    assert send(webhook, message, Context()).delivered
    return time.perf_counter() - start


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
