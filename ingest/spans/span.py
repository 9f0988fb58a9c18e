"""A span of OTLP, as far as it is read. Pure."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from ingest.spans.attribute_names import Slot

Slots = dict[str, Any]
"""Values of attributes, by the slot that they fill (``attribute_names``)."""

MAX_SPANS = 20_000
"""Spans of one request; exporters send 512 by default, and collectors 8,192."""
MAX_GROUPS = 5_000
"""Resources, and scopes of all resources, of one request."""
NO_SLOTS: Mapping[str, Any] = MappingProxyType({})


class Span(NamedTuple):
    """One span: its place in the trace in hexadecimal digits, its times in nanoseconds (0: not given), and the
    attributes that are read."""

    trace_id: str
    span_id: str
    parent_id: str
    start_ns: int
    end_ns: int
    is_error: bool
    slots: Slots
    resource: Mapping[str, Any] = NO_SLOTS


class MalformedRequest(Exception):
    """A request that is no request of OTLP; the message says why, without a word of its content."""


def collect_slots(values: Iterable[tuple[Slot, Any]]) -> Slots:
    """Collect the values of attributes by slot. A slot that several fill takes the first of its names."""
    slots: Slots = {}
    ranks: dict[str, int] = {}
    for (name, rank), value in values:
        if value is not None and (name not in slots or rank < ranks[name]):
            slots[name] = value
            ranks[name] = rank
    return slots
