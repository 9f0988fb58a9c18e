"""Every metric of Tallystick: name, type, labels and help."""

from typing import Literal, NamedTuple


class Metric(NamedTuple):
    name: str
    kind: Literal["gauge", "counter"]
    labels: tuple[str, ...]
    help: str


LOG_UP = Metric(
    "tally_log_up", "gauge", (), "1 while the log answers, else 0. Metrics of an unreachable log are omitted."
)
WAREHOUSE_UP = Metric(
    "tally_warehouse_up",
    "gauge",
    (),
    "1 while the warehouse answers, else 0. Metrics of an unreachable warehouse are omitted.",
)
SERVICE_UP = Metric(
    "tally_service_up", "gauge", ("service",), "1 while a service of this home runs and is ready, else 0."
)
SERVICE_RESTARTS = Metric(
    "tally_service_restarts_total",
    "counter",
    ("service",),
    "Restarts of a service by tally up, since tally up started.",
)
RECORDED_OFFSET = Metric("tally_recorded_offset", "gauge", ("partition",), "Offset of the next record of tally.events.")
FOLD_OFFSET = Metric(
    "tally_fold_offset", "gauge", ("partition",),
    "Next offset of tally.events for the folds. Its rate is that of the folds, in records.",
)  # fmt: skip
STORED_OFFSET = Metric(
    "tally_stored_offset", "gauge", ("partition",),
    "Next offset of tally.events for the sink. Omitted while no sink runs.",
)  # fmt: skip
LAG = Metric(
    "tally_lag_records", "gauge", ("stage", "partition"),
    "Records that a stage (folds, sink) has still to process: the fold lag and the sink lag.",
)  # fmt: skip
RECEIVED = Metric("tally_received_total", "counter", (), "Facts that arrived: accepted and rejected.")
REJECTED = Metric("tally_rejected_total", "counter", (), "Facts that the intake rejected.")
EVENTS = Metric(
    "tally_events", "gauge", ("outcome",),
    "Facts on the log by outcome: counted, duplicate, conflict, quarantined, held. What is released moves to counted.",
)  # fmt: skip
MISSING = Metric(
    "tally_missing_events",
    "gauge",
    (),
    "Events missing from their sources' sequence numbers: never arrived, or rejected.",
)
DELIVERIES = Metric(
    "tally_deliveries_total", "counter", ("state",),
    "Deliveries of alerts and crossings to webhooks that ended: delivered, given up.",
)  # fmt: skip
DELIVERIES_PENDING = Metric("tally_deliveries_pending", "gauge", (), "Deliveries that are pending, or to be retried.")
OLDEST_PENDING_DELIVERY = Metric(
    "tally_deliveries_oldest_pending_seconds",
    "gauge",
    (),
    "Age of the oldest pending delivery, from its cause; 0 without one.",
)

HTTP_REQUESTS = Metric(
    "tally_http_requests_total", "counter", ("path", "status"), "Requests to the HTTP API, by path and status."
)
HTTP_UNAUTHENTICATED_REQUESTS = Metric(
    "tally_http_unauthenticated_requests_total",
    "counter",
    (),
    "Requests without a valid token. Nothing else of them is kept.",
)
HTTP_EVENTS = Metric(
    "tally_http_events_total", "counter", ("result",),
    "Events received over HTTP: accepted (durable on the log) and refused.",
)  # fmt: skip
HTTP_SECONDS = Metric(
    "tally_http_append_seconds_total", "counter", (),
    "Time until the events of requests were read, validated and durable.",
)  # fmt: skip
HTTP_ADMISSIONS = Metric(
    "tally_http_admissions_total", "counter", ("answer",),
    "Answers to asks over HTTP: allow, downgrade, throttle, deny; none where no decision came in time.",
)  # fmt: skip
HTTP_HELD = Metric(
    "tally_http_held_bytes",
    "gauge",
    (),
    "Bytes of request bodies in progress. From 32 MiB on, further requests must wait.",
)

HTTP = (HTTP_REQUESTS, HTTP_UNAUTHENTICATED_REQUESTS, HTTP_EVENTS, HTTP_SECONDS, HTTP_ADMISSIONS, HTTP_HELD)
"""Served by the HTTP API's own /metrics; the others are served by `tally metrics serve`."""
METRICS = (
    LOG_UP, WAREHOUSE_UP, SERVICE_UP, SERVICE_RESTARTS, RECORDED_OFFSET, FOLD_OFFSET, STORED_OFFSET, LAG, RECEIVED,
    REJECTED, EVENTS, MISSING, DELIVERIES, DELIVERIES_PENDING, OLDEST_PENDING_DELIVERY,
)  # fmt: skip
