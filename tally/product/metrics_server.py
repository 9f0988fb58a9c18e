"""The metrics for Prometheus, over HTTP on loopback or where TALLY_BIND says."""

import signal
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from waitress.server import create_server

from audit import sequence_gaps
from ledger.errors import TallyError
from ledger.home.locks import only_one
from ledger.home.ports import bound, reached_at
from ledger.home.presence import announce
from ledger.http.guard import WsgiGuard
from ledger.log import Log
from ledger.log.open import open_log
from ledger.metrics import METRICS
from ledger.settings import Settings
from tally.session import opened
from tally.status.metrics import Measured, Sample

PART = "metrics"
FOLLOW_S = 2.0
MAX_CONNECTIONS = 100
MAX_BODY_BYTES = 1 << 16
CHANNEL_TIMEOUT_S = 30
"""A scrape is one short request: who holds a connection open without one is cut off."""
FAMILIES = {"gauge": GaugeMetricFamily, "counter": CounterMetricFamily}


def serve(settings: Settings, port: int) -> None:
    """Answer scrapes until SIGTERM or SIGINT. TallyError where the port is taken, or the home's metrics are served."""
    with only_one(settings.home, PART), opened(settings) as log:
        stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
        registry = CollectorRegistry(auto_describe=False)
        registry.register(Exposed(Measured(settings, log)))
        listening = bound(port, PART, "TALLY_METRICS_PORT", settings.bind)
        taken = listening.getsockname()[1]
        server = create_server(
            WsgiGuard(make_wsgi_app(registry), settings.allowed_hosts(settings.bind)),
            sockets=[listening], ident=None, connection_limit=MAX_CONNECTIONS, channel_timeout=CHANNEL_TIMEOUT_S,
            max_request_body_size=MAX_BODY_BYTES, clear_untrusted_proxy_headers=True, asyncore_use_poll=True,
        )  # fmt: skip
        threading.Thread(target=server.run, daemon=True).start()
        announce(settings.home, PART, url=f"http://{reached_at(settings.bind)}:{taken}/metrics")
        with closing(open_log(settings)) as followed:  # one of its own: the figures are asked by other threads
            follows = False
            while not stopping.wait(FOLLOW_S):
                follows = _follow(followed, settings, check=not follows)


def _follow(log: Log, settings: Settings, *, check: bool) -> bool:
    """Count what sources numbered and never arrived, for the metrics and the trust page; whether it could be."""
    try:
        sequence_gaps.follow(log, settings.home, check=check)
    except (TallyError, OSError, sqlite3.Error) as error:
        print(f"the numbers of sources are not followed now: {error}", flush=True)
        return False
    return True


class Exposed(Collector):
    """The figures in the words of Prometheus' client."""

    def __init__(self, measured: Measured) -> None:
        self._measured = measured

    def collect(self) -> Iterator[Metric]:
        found: dict[str, list[Sample]] = defaultdict(list)
        for sample in self._measured.samples():
            found[sample.metric.name].append(sample)
        for metric in METRICS:
            family = FAMILIES[metric.kind](metric.name, metric.help, labels=metric.labels)
            for sample in found[metric.name]:
                family.add_metric(sample.labels, sample.value)
            yield family
