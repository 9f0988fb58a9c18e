"""Every metric that Tallystick has: its name, its type, its labels, and what it says."""

from typing import Literal, NamedTuple


class Metric(NamedTuple):
    name: str
    kind: Literal["gauge", "counter"]
    labels: tuple[str, ...]
    help: str


LOG_UP = Metric("tally_log_up", "gauge", (), "Whether the log answers; while it is 0, what is asked of it is absent.")
WAREHOUSE_UP = Metric(
    "tally_warehouse_up", "gauge", (), "Whether the warehouse answers; while it is 0, what it counts is absent."
)
SERVICE_UP = Metric("tally_service_up", "gauge", ("part",), "Whether a part of this home runs and is ready.")
SERVICE_RESTARTS = Metric(
    "tally_service_restarts_total", "counter", ("part",), "How often tally up started a part again since its own start."
)
RECORDED_OFFSET = Metric(
    "tally_recorded_offset", "gauge", ("partition",), "The offset of tally.events that the next record gets."
)
FOLD_OFFSET = Metric(
    "tally_fold_offset", "gauge", ("partition",),
    "The next offset of tally.events that the folds take; its rate is that of the folds, in records.",
)  # fmt: skip
STORED_OFFSET = Metric(
    "tally_stored_offset", "gauge", ("partition",),
    "The next offset of tally.events that the sink stores in the warehouse; absent while no sink runs.",
)  # fmt: skip
LAG = Metric(
    "tally_lag_records", "gauge", ("stage", "partition"),
    "How many records a stage (folds, sink) lacks of those that the stage before it has passed.",
)  # fmt: skip
RECEIVED = Metric("tally_received_total", "counter", (), "Facts that the doors received: accepted and rejected.")
REJECTED = Metric("tally_rejected_total", "counter", (), "Facts that the doors refused.")
EVENTS = Metric(
    "tally_events_total", "counter", ("outcome",),
    "Facts on the log by what became of them: counted, duplicate, conflict, quarantined.",
)  # fmt: skip
MISSING = Metric(
    "tally_missing_events", "gauge", (), "Events that their sources numbered and that never arrived, or were refused."
)
DELIVERIES = Metric(
    "tally_deliveries_total", "counter", ("state",),
    "Alerts and crossings for webhooks, by what became of them: delivered, given up.",
)  # fmt: skip
DELIVERIES_PENDING = Metric("tally_deliveries_pending", "gauge", (), "Those that are to be delivered, or tried again.")
OLDEST_PENDING_DELIVERY = Metric(
    "tally_deliveries_oldest_pending_seconds", "gauge", (), "How long ago the oldest pending one was caused; or 0."
)

HTTP_REQUESTS = Metric(
    "tally_http_requests_total", "counter", ("path", "status"), "Requests to the HTTP door, by what they were answered."
)
HTTP_UNAUTHENTICATED_REQUESTS = Metric(
    "tally_http_unauthenticated_requests_total",
    "counter",
    (),
    "Requests that showed no valid token: nothing else is kept of them.",
)
HTTP_EVENTS = Metric(
    "tally_http_events_total", "counter", ("result",),
    "Events that came over HTTP: accepted (on the log, durable) and refused.",
)  # fmt: skip
HTTP_SECONDS = Metric(
    "tally_http_append_seconds_total", "counter", (),
    "Time that requests waited until their events were read, judged and durable.",
)  # fmt: skip
HTTP_HELD = Metric("tally_http_held_bytes", "gauge", (), "Bytes of bodies under way; from 32 MiB on others must wait.")

HTTP = (HTTP_REQUESTS, HTTP_UNAUTHENTICATED_REQUESTS, HTTP_EVENTS, HTTP_SECONDS, HTTP_HELD)
"""At the HTTP door's own /metrics; the others at those of `tally metrics serve`."""
METRICS = (
    LOG_UP, WAREHOUSE_UP, SERVICE_UP, SERVICE_RESTARTS, RECORDED_OFFSET, FOLD_OFFSET, STORED_OFFSET, LAG, RECEIVED, REJECTED, EVENTS,
    MISSING, DELIVERIES, DELIVERIES_PENDING, OLDEST_PENDING_DELIVERY,
)  # fmt: skip
