"""Metrics of the HTTP API, for Prometheus."""

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge

from ledger.metrics import (
    HTTP_ADMISSIONS,
    HTTP_EVENTS,
    HTTP_HELD,
    HTTP_REQUESTS,
    HTTP_SECONDS,
    HTTP_UNAUTHENTICATED_REQUESTS,
    Metric,
)


class Counts:
    """Counters since the start of this process. ``room_bytes`` returns the bytes of bodies under way."""

    def __init__(self, room_bytes: Callable[[], int]) -> None:
        self.registry = CollectorRegistry()
        self._requests = self._counter(HTTP_REQUESTS)
        self._unauthenticated = self._counter(HTTP_UNAUTHENTICATED_REQUESTS)
        self._events = self._counter(HTTP_EVENTS)
        self._seconds = self._counter(HTTP_SECONDS)
        self._admissions = self._counter(HTTP_ADMISSIONS)
        Gauge(HTTP_HELD.name, HTTP_HELD.help, registry=self.registry).set_function(room_bytes)

    def count_request(self, path: str, status: int) -> None:
        self._requests.labels(path, str(status)).inc()

    def count_unauthenticated(self) -> None:
        self._unauthenticated.inc()

    def count_events(self, accepted: int, refused: int, seconds: float) -> None:
        self._events.labels("accepted").inc(accepted)
        self._events.labels("refused").inc(refused)
        self._seconds.inc(seconds)

    def count_admissions(self, answers: Iterable[str]) -> None:
        for answer in answers:
            self._admissions.labels(answer).inc()

    def _counter(self, metric: Metric) -> Counter:
        return Counter(metric.name, metric.help, metric.labels, registry=self.registry)
