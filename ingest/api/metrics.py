"""What the HTTP door counts of itself, for Prometheus."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge

from ledger.metrics import HTTP_EVENTS, HTTP_HELD, HTTP_REQUESTS, HTTP_SECONDS, HTTP_STRANGERS, Metric


class Counts:
    """Since the start of this process. ``held`` tells how many bytes of bodies are under way."""

    def __init__(self, held: Callable[[], int]) -> None:
        self.registry = CollectorRegistry()
        self._requests = self._counter(HTTP_REQUESTS)
        self._strangers = self._counter(HTTP_STRANGERS)
        self._events = self._counter(HTTP_EVENTS)
        self._seconds = self._counter(HTTP_SECONDS)
        Gauge(HTTP_HELD.name, HTTP_HELD.help, registry=self.registry).set_function(held)

    def request(self, path: str, status: int) -> None:
        self._requests.labels(path, str(status)).inc()

    def stranger(self) -> None:
        self._strangers.inc()

    def entered(self, accepted: int, refused: int, seconds: float) -> None:
        self._events.labels("accepted").inc(accepted)
        self._events.labels("refused").inc(refused)
        self._seconds.inc(seconds)

    def _counter(self, metric: Metric) -> Counter:
        return Counter(metric.name, metric.help, metric.labels, registry=self.registry)
