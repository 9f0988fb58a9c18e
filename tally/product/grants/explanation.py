"""Explain an admission: the log is folded again up to the ask, so that each limit stands as it stood then."""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any, NamedTuple

import msgspec

from ledger.errors import TallyError
from ledger.log import Log, Position, Record, partition_of, records
from ledger.log.topics import EVENTS
from streams.folds.chain import NOW, Derived
from streams.folds.emit import Emit
from streams.folds.entry import Documents
from streams.folds.event import Event, parse_line
from streams.folds.grants.admission import MODELS, Ask, choose_grants, list_candidates
from streams.folds.grants.estimates import estimate_amounts
from streams.folds.grants.floors import read_room
from streams.folds.grants.limits import Amounts, Limit, is_measured, measure
from streams.folds.grants.requests import bound_amounts, read_quantile_ppm, read_scopes
from streams.folds.grants.tree import Grant, list_holdings, list_limits, load_path
from streams.folds.state import State
from streams.runtime import read_catalogues
from tally.log.partition_copy import PartitionCopy
from tally.product.grants.admitted_calls import AdmittedCalls
from tally.product.grants.asked_leases import LimitAtAsk, choose_path, list_lease_limits, sum_charges
from tally.product.grants.history import read_decisions
from tally.product.grants.usage import measure_limit
from tally.product.grants.ways_out import AskedCall, WayOut, find_way_out, read_shortage
from tallystick.rights.leased_names import read_leased_name
from tallystick.rights.sets import FIELDS

Progress = Callable[[int], object]
LEASE = "lease"
SETTLED, LEASE_SETTLED, CHANGED = "admission.settled", "lease.settled", "call.changed"
"""Steps that are no decisions have names of their own: the settlements of a lease together, and changes of a call."""
_ANSWERS = ("admission.decided", "lease.granted", "lease.refused")
_MARKERS = (b'"tallystick.admission.v1"', b'"tallystick.lease.v1"')
_ASKING, _ENDING = ("admission", LEASE), ("release", "return")
_decode = msgspec.json.Decoder().decode


class ChosenPath(NamedTuple):
    """The grant of a scope that decides, with those above it, what is asked of them, and whether they refuse it."""

    grants: list[Grant]
    request: AskedCall
    is_refused: bool


class Step(NamedTuple):
    """A decision about an admission or a lease, or what became of its calls, and when that was."""

    decision: str
    time_us: int
    body: dict[str, Any]


class Explanation(NamedTuple):
    """An ask for a call or a lease, the decision, the limits on the way as the ask met them, what would allow it, and
    what happened after. ``end_us`` is the log's time."""

    admission: str
    position: Position
    asked_us: int
    ask: dict[str, Any]
    decision: dict[str, Any]
    limits: list[LimitAtAsk]
    way_out: WayOut
    steps: list[Step]
    end_us: int
    is_lease: bool = False


def explain_admission(
    log: Log, organization: str, admission: str, progress: Progress = lambda count: None
) -> Explanation:
    """Explain an admission or a lease of an organization, or an admission from a lease. TallyError where nobody asked
    for it, or it was not decided."""
    partition = partition_of(organization)
    record, event = _find_ask(log, organization, admission)
    documents = read_catalogues(log)
    with closing(sqlite3.connect("", isolation_level=None)) as db:
        copy = PartitionCopy(db, log, partition, documents)
        for count, _ in copy.fold(record.offset):
            progress(count)
        lines = record.value.split(b"\n")
        ask_record = record._replace(value=b"\n".join(lines[: event.event_index]))
        state = copy.peek(ask_record)
        now_ms: int = state.get(NOW)
        emit = Emit(record, now_ms)
        is_lease = event.kind == LEASE
        if is_lease:
            limits, way_out = list_lease_limits(event, state, copy.peek(ask_record), emit.now_us), WayOut((), ())
        else:
            limits, way_out = _explain_ask(event, state, documents, emit)
        story = Story(organization, event.id, admission, is_lease=is_lease)
        for count, derived in copy.fold(log.end(EVENTS, partition)):
            progress(count)
            story.follow(derived)
        end_us: int = copy.state.get(NOW) * 1000
    if story.decided is None:
        raise TallyError(
            f"{event.kind} {admission!r} was asked for at {record.partition}-{record.offset}-{event.event_index}, and "
            "has no answer: `tally tail` shows what became of the event"
        )
    return Explanation(
        admission, Position(record.partition, record.offset, event.event_index), emit.now_us, event.data,
        story.decided, limits, way_out, story.tell(), end_us, is_lease,
    )  # fmt: skip


def _explain_ask(event: Event, state: State, documents: Documents, emit: Emit) -> tuple[list[LimitAtAsk], WayOut]:
    """Return the limits on the way of a call, and what would have allowed it."""
    call = {dimension: event.data.get(field) for dimension, field in FIELDS.items()}
    greatest = bound_amounts(event, call[MODELS], state, documents, emit)
    ask = Ask(
        event.organization, event.id, read_scopes(event.data), call, emit.now_us, event.data.get("grant"),
        read_quantile_ppm(event.data),
    )  # fmt: skip
    paths = _choose_paths(state, ask, greatest, emit.now_us)
    return _list_limits(paths), _find_way_out(paths)


class Story:
    """The decisions about an admission or a lease, and what became of the calls that settled. ``name`` is that of the
    ask, ``admission`` the one that is to be explained: it differs for one from a lease."""

    def __init__(self, organization: str, name: str, admission: str, *, is_lease: bool) -> None:
        self._organization, self._name, self._admission, self._is_lease = organization, name, admission, is_lease
        self._steps: list[tuple[Step, tuple[int, int] | None]] = []
        self._calls = AdmittedCalls(organization)
        self.decided: dict[str, Any] | None = None

    def follow(self, derived: Derived) -> None:
        """Follow what records cause."""
        for decision in read_decisions(derived):
            if decision["organization"] == self._organization:
                self._add(decision, _decode(decision.get("body") or "{}"))
        self._calls.follow(derived)

    def tell(self) -> list[Step]:
        """Return what came after the answer: the settlements of a whole lease as one."""
        steps, settlements = [], list[Step]()
        for step, position in self._steps:
            if position in self._calls.unknown:
                step.body["unknown"] = self._calls.unknown[position]
            if self._is_lease and position is not None and self._admission == self._name:
                settlements.append(step)
            else:
                steps.append(step)
        if settlements:
            bodies = [step.body for step in settlements]
            sums = {field: sum_charges(bodies, field) for field in ("counted", "overshoot")}
            facts = {"calls": len(bodies), "unknown": sum("unknown" in body for body in bodies), **sums}
            steps.append(Step(LEASE_SETTLED, settlements[-1].time_us, facts))
        steps += [
            Step(CHANGED, change.time_us, {"reason": change.reason, "before": change.before, "after": change.after})
            for change in self._calls.changes
        ]
        return sorted(steps, key=lambda step: step.time_us)

    def _add(self, decision: dict[str, Any], body: dict[str, Any]) -> None:
        name, time_us = body.get("lease" if self._is_lease else "admission"), _read_time_us(decision)
        if decision["decision"] in _ANSWERS and name == self._name:
            if self.decided is None:
                is_refused = decision["decision"] == "lease.refused"
                self.decided = {"answer": "deny" if is_refused else "allow"} | body if self._is_lease else body
        elif decision["decision"] == SETTLED and self._is_settled(body["admission"]):
            self._steps.append((Step(SETTLED, time_us, body), self._calls.add(decision)))
        elif name == self._name and decision["decision"] != SETTLED and self._admission == self._name:
            self._steps.append((Step(decision["decision"], time_us, body), None))

    def _is_settled(self, admission: str) -> bool:
        if not self._is_lease or self._admission != self._name:
            return admission == self._admission
        leased_name = read_leased_name(admission)
        return admission == self._name or (leased_name is not None and leased_name.lease == self._name)


def _find_ask(log: Log, organization: str, admission: str) -> tuple[Record, Event]:
    """Find the first event that asked under a name, and its record: for an admission from a lease that of the lease."""
    leased_name = read_leased_name(admission)
    name = admission if leased_name is None else leased_name.lease
    for record in records(log, EVENTS, partition_of(organization)):
        if record.organization != organization or not any(marker in record.value for marker in _MARKERS):
            continue
        for index, line in enumerate(record.value.split(b"\n")):
            if any(marker in line for marker in _MARKERS):
                event = parse_line(index, line, organization)
                if event.id == name and event.kind in _ASKING and event.data.get("action") not in _ENDING:
                    return record, event
    raise TallyError(
        f"organization {organization} has no admission {admission!r}: give the id of the ask, which is `admission` of "
        "its answer, or `lease` of that to a lease"
    )


def _choose_paths(state: State, ask: Ask, greatest: Amounts, now_us: int) -> list[ChosenPath]:
    """Choose the grant of each scope that decides, each with those above it."""
    choice = choose_grants(state, ask, ask.call, greatest, now_us)
    holdings = [list_candidates(names, ask.grant) for _, names in list_holdings(state, ask.organization, ask.scopes)]
    paths = [choose_path([load_path(state, ask.organization, name) for name in names], choice) for names in holdings]
    charged = frozenset(grant.name for path in paths for grant in path)
    chosen_paths = []
    for path in paths:
        amounts, model = greatest, ask.call[MODELS]
        if ask.quantile_ppm is not None and model is not None:
            amounts, _ = estimate_amounts(state, ask.organization, path[0].name, model, greatest, ask.quantile_ppm)
        request = AskedCall(ask.organization, ask.call, amounts, charged, state, now_us)
        chosen_paths.append(ChosenPath(path, request, path[0].name not in choice.grants))
    return chosen_paths


def _find_way_out(paths: Sequence[ChosenPath]) -> WayOut:
    """Find what would have the paths that refuse the call allow it."""
    ways_out = [find_way_out(path.request, path.grants) for path in paths if path.is_refused]
    commands = dict.fromkeys(command for way_out in ways_out for command in way_out.commands)
    notes = dict.fromkeys(note for way_out in ways_out for note in way_out.notes)
    return WayOut(tuple(commands), tuple(notes))


def _list_limits(paths: Sequence[ChosenPath]) -> list[LimitAtAsk]:
    """List the limits on some paths, each once."""
    limits = {
        (grant.name, limit.key): _measure(path.request, grant, limit)
        for path in paths
        for grant in path.grants
        for limit in list_limits(grant, path.request.now_us)
    }
    return list(limits.values())


def _measure(request: AskedCall, grant: Grant, limit: Limit) -> LimitAtAsk:
    amount = measure(limit, request.amounts) if is_measured(limit, request.amounts) else None
    room = read_room(request.state, request.organization, grant, limit, request.charged, request.now_us)
    usage = measure_limit(room, request.state, request.now_us)
    return LimitAtAsk(grant.name, usage, amount, not read_shortage(request, grant, limit))


def _read_time_us(decision: dict[str, Any]) -> int:
    due_us: int | None = decision.get("due_us")
    return int(decision["accepted_ms"]) * 1000 if due_us is None else due_us
