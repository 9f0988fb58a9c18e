"""The calls among the spans of one request. Pure.

A call is charged once. Frameworks wrap calls in spans that repeat their usage, and an application may have two
instrumentations of the same call. So of calls within one another the innermost that has usage counts, and of calls with
one response id the first that has usage; what the others know of agent and session goes to it.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ingest.intake.rejection import Rejection
from ingest.spans.inference import Event, Role, build_event, find_role, has_usage, identify, lend_slots
from ingest.spans.span import Slots, Span

MAX_DEPTH = 64
"""Parents of a span that are looked at."""


class Call(NamedTuple):
    """A span that is charged, the attributes that it takes over, and the ids of the spans around its parent."""

    span: Span
    parent_slots: Slots
    outer_ids: tuple[str, ...] = ()


class ChargedParents:
    """The spans around calls that were charged lately. A span ends before the one around it, so a wrapper that comes in
    a later request is known by it. Bounded, and for threads; a restart forgets it."""

    def __init__(self, max_count: int = 100_000) -> None:
        self._max_count = max_count
        self._places: OrderedDict[tuple[str, str, str], None] = OrderedDict()
        self._guard = threading.Lock()

    def add(self, organization: str, calls: Sequence[Call]) -> None:
        """Remember the spans around calls whose events are durable."""
        with self._guard:
            for call in calls:
                if call.span.parent_id and has_usage(call.span):
                    for parent_id in (call.span.parent_id, *call.outer_ids):
                        self._places[organization, call.span.trace_id, parent_id] = None
            while len(self._places) > self._max_count:
                self._places.popitem(last=False)

    def is_parent(self, organization: str, span: Span) -> bool:
        """Tell whether a call that was charged lies in a span."""
        with self._guard:
            return (organization, span.trace_id, span.span_id) in self._places


def select_calls(spans: Sequence[Span], charged: ChargedParents | None = None, organization: str = "") -> list[Call]:
    """Select the spans to charge, in their order; ``charged`` are those around calls of earlier requests."""
    roles = [
        Role.PARENT if role is Role.CALL and charged is not None and charged.is_parent(organization, span) else role
        for span, role in ((span, find_role(span)) for span in spans)
    ]
    by_place = {(span.trace_id, span.span_id): index for index, span in enumerate(spans)}
    ancestors = [
        _find_ancestors(span, by_place, spans) if role is Role.CALL else []
        for span, role in zip(spans, roles, strict=True)
    ]
    repeated = _find_repeated(spans, roles, ancestors)
    calls: dict[tuple[object, str], Call] = {}
    for index, span in enumerate(spans):
        if roles[index] is not Role.CALL or index in repeated:
            continue
        parent_slots: Slots = {}
        for ancestor in reversed(ancestors[index]):
            parent_slots |= lend_slots(spans[ancestor].slots)
        identity = span.resource.get("source"), identify(span)
        twin = calls.get(identity)
        if twin is None:
            outer_ids = tuple(spans[ancestor].parent_id for ancestor in ancestors[index])
            calls[identity] = Call(span, parent_slots, outer_ids)
        elif has_usage(span) and not has_usage(twin.span):
            calls[identity] = Call(span, twin.parent_slots | lend_slots(twin.span.slots) | parent_slots)
        else:
            calls[identity] = Call(twin.span, parent_slots | lend_slots(span.slots) | twin.parent_slots)
    return list(calls.values())


def build_events(calls: Sequence[Call], defaults: Mapping[str, Any]) -> Iterator[Event | Rejection]:
    """Build the event of each call, or the reason why there is none. ``defaults`` are fields for what spans lack."""
    for call in calls:
        try:
            yield build_event(call.span, call.parent_slots, defaults)
        except Rejection as rejection:
            yield rejection


def _find_ancestors(span: Span, by_place: Mapping[tuple[str, str], int], spans: Sequence[Span]) -> list[int]:
    """Find the parents of a span in this request, from the nearest on."""
    ancestors: list[int] = []
    parent_id = span.parent_id
    while parent_id and len(ancestors) < MAX_DEPTH:
        index = by_place.get((span.trace_id, parent_id))
        if index is None or index in ancestors:
            break
        ancestors.append(index)
        parent_id = spans[index].parent_id
    return ancestors


def _find_repeated(spans: Sequence[Span], roles: Sequence[Role], ancestors: Sequence[list[int]]) -> set[int]:
    """Find the calls that another call repeats: those around one that has usage, and those inside that have none."""
    repeated: set[int] = set()
    for index, parents in enumerate(ancestors):
        outer = [parent for parent in parents if roles[parent] is Role.CALL]
        if not outer:
            continue
        if has_usage(spans[index]):
            repeated.update(outer)
        elif any(has_usage(spans[parent]) for parent in outer):
            repeated.add(index)
    return repeated
