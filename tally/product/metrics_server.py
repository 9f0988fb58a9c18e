"""Serve the metrics for Prometheus over HTTP, on loopback or TALLY_BIND."""

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
from ledger.home.locks import service_lock
from ledger.home.ports import bind_port, find_reachable_address
from ledger.home.presence import announce
from ledger.http.guard import WsgiGuard
from ledger.log import Log
from ledger.log.open import open_log
from ledger.metrics import METRICS
from ledger.settings import Settings
from tally.session import opened
from tally.status.metrics import HomeMetrics, Sample

SERVICE = "metrics"
FOLLOW_INTERVAL_S = 2.0
MAX_CONNECTIONS = 100
MAX_BODY_BYTES = 1 << 16
CHANNEL_TIMEOUT_S = 30
"""A scrape is one short request: an idle connection is closed."""
FAMILIES = {"gauge": GaugeMetricFamily, "counter": CounterMetricFamily}


def serve(settings: Settings, port: int) -> None:
    """Answer scrapes until SIGTERM or SIGINT. TallyError where the port is taken, or the service already runs."""
    with service_lock(settings.home, SERVICE), opened(settings) as log:
        stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
        registry = CollectorRegistry(auto_describe=False)
        registry.register(MetricsCollector(HomeMetrics(settings, log)))
        listening = bind_port(port, SERVICE, "TALLY_METRICS_PORT", settings.bind)
        bound_port = listening.getsockname()[1]
        server = create_server(
            WsgiGuard(make_wsgi_app(registry), settings.build_allowed_hosts(settings.bind)),
            sockets=[listening], ident=None, connection_limit=MAX_CONNECTIONS, channel_timeout=CHANNEL_TIMEOUT_S,
            max_request_body_size=MAX_BODY_BYTES, clear_untrusted_proxy_headers=True, asyncore_use_poll=True,
        )  # fmt: skip
        threading.Thread(target=server.run, daemon=True).start()
        announce(settings.home, SERVICE, url=f"http://{find_reachable_address(settings.bind)}:{bound_port}/metrics")
        with closing(open_log(settings)) as gap_log:  # a log of its own: other threads read the figures
            is_followed = False
            while not stopping.wait(FOLLOW_INTERVAL_S):
                is_followed = _follow(gap_log, settings, check=not is_followed)


def _follow(log: Log, settings: Settings, *, check: bool) -> bool:
    """Count the gaps in sequence numbers, for the metrics and the trust page; False where that fails."""
    try:
        sequence_gaps.follow(log, settings.home, check=check)
    except (TallyError, OSError, sqlite3.Error) as error:
        print(f"sequence numbers cannot be followed now: {error}", flush=True)
        return False
    return True


class MetricsCollector(Collector):
    """The samples as metric families of Prometheus' client."""

    def __init__(self, home_metrics: HomeMetrics) -> None:
        self._home_metrics = home_metrics

    def collect(self) -> Iterator[Metric]:
        samples: dict[str, list[Sample]] = defaultdict(list)
        for sample in self._home_metrics.samples():
            samples[sample.metric.name].append(sample)
        for metric in METRICS:
            family = FAMILIES[metric.kind](metric.name, metric.help, labels=metric.labels)
            for sample in samples[metric.name]:
                family.add_metric(sample.labels, sample.value)
            yield family
