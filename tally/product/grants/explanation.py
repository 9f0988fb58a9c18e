"""Explain an admission: the log is folded again up to the ask, so that each limit stands as it stood then."""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any, NamedTuple

import msgspec

from ledger.errors import TallyError
from ledger.log import Log, Position, Record, partition_of, records
from ledger.log.topics import EVENTS
from streams.folds.chain import NOW
from streams.folds.emit import Emit
from streams.folds.event import Event, parse_line
from streams.folds.grants.admission import MODELS, Ask, Choice, choose_grants, list_candidates
from streams.folds.grants.estimates import estimate_amounts
from streams.folds.grants.floors import read_room
from streams.folds.grants.limits import Amounts, Limit, is_measured, measure
from streams.folds.grants.requests import bound_amounts, read_quantile_ppm, read_scopes
from streams.folds.grants.tree import Grant, list_holdings, list_limits, load_path
from streams.folds.state import State
from streams.runtime import read_catalogues
from tally.log.partition_copy import PartitionCopy
from tally.product.grants.history import read_decisions
from tally.product.grants.usage import LimitUsage, measure_limit
from tally.product.grants.ways_out import AskedCall, WayOut, find_way_out, read_shortage
from tallystick.rights.sets import FIELDS

Progress = Callable[[int], object]
DECIDED = "admission.decided"
_MARKER = b'"tallystick.admission.v1"'
_decode = msgspec.json.Decoder().decode


class LimitAtAsk(NamedTuple):
    """A limit on the way of a call as the ask met it. ``amount`` is what was asked of it; None where it counts nothing
    of the call, or that is not known."""

    grant: str
    usage: LimitUsage
    amount: int | None
    has_room: bool


class ChosenPath(NamedTuple):
    """The grant of a scope that decides, with those above it, what is asked of them, and whether they refuse it."""

    grants: list[Grant]
    request: AskedCall
    is_refused: bool


class Step(NamedTuple):
    """A decision about an admission, and when it was made."""

    decision: str
    time_us: int
    body: dict[str, Any]


class Explanation(NamedTuple):
    """An ask, the decision, the limits on the way as the ask met them, what would allow it, and what happened after.
    ``end_us`` is the log's time."""

    admission: str
    position: Position
    asked_us: int
    ask: dict[str, Any]
    decision: dict[str, Any]
    limits: list[LimitAtAsk]
    way_out: WayOut
    steps: list[Step]
    end_us: int


def explain_admission(
    log: Log, organization: str, admission: str, progress: Progress = lambda count: None
) -> Explanation:
    """Explain an admission of an organization. TallyError where nobody asked for it, or it was not decided."""
    partition = partition_of(organization)
    record, event = _find_ask(log, organization, admission)
    documents = read_catalogues(log)
    with closing(sqlite3.connect("", isolation_level=None)) as db:
        copy = PartitionCopy(db, log, partition, documents)
        for count, _ in copy.fold(record.offset):
            progress(count)
        lines = record.value.split(b"\n")
        state = copy.peek(record._replace(value=b"\n".join(lines[: event.event_index])))
        now_ms: int = state.get(NOW)
        emit = Emit(record, now_ms)
        call = {dimension: event.data.get(field) for dimension, field in FIELDS.items()}
        greatest = bound_amounts(event, call[MODELS], state, documents, emit)
        ask = Ask(
            organization, admission, read_scopes(event.data), call, emit.now_us, event.data.get("grant"),
            read_quantile_ppm(event.data),
        )  # fmt: skip
        paths = _choose_paths(state, ask, greatest, emit.now_us)
        way_out = _find_way_out(paths)
        limits = _list_limits(paths)
        steps = []
        for count, derived in copy.fold(log.end(EVENTS, partition)):
            progress(count)
            for decision in read_decisions(derived):
                body = _decode(decision.get("body") or "{}")
                if decision["organization"] == organization and body.get("admission") == admission:
                    steps.append(Step(decision["decision"], _read_time_us(decision), body))
        end_us: int = copy.state.get(NOW) * 1000
    decided = next((step for step in steps if step.decision == DECIDED), None)
    if decided is None:
        raise TallyError(
            f"admission {admission!r} was asked for at {record.partition}-{record.offset}-{event.event_index}, and has "
            "no answer: `tally tail` shows what became of the event"
        )
    return Explanation(
        admission, Position(record.partition, record.offset, event.event_index), emit.now_us, event.data, decided.body,
        limits, way_out, [step for step in steps if step is not decided], end_us,
    )  # fmt: skip


def _find_ask(log: Log, organization: str, admission: str) -> tuple[Record, Event]:
    """Find the first event that asked under a name, and its record."""
    for record in records(log, EVENTS, partition_of(organization)):
        if record.organization != organization or _MARKER not in record.value:
            continue
        for index, line in enumerate(record.value.split(b"\n")):
            if _MARKER in line:
                event = parse_line(index, line, organization)
                if event.kind == "admission" and event.id == admission and event.data.get("action") != "release":
                    return record, event
    raise TallyError(
        f"organization {organization} has no admission {admission!r}: give the id of the ask, which is `admission` of "
        "its answer"
    )


def _choose_paths(state: State, ask: Ask, greatest: Amounts, now_us: int) -> list[ChosenPath]:
    """Choose the grant of each scope that decides, each with those above it."""
    choice = choose_grants(state, ask, ask.call, greatest, now_us)
    holdings = [list_candidates(names, ask.grant) for _, names in list_holdings(state, ask.organization, ask.scopes)]
    paths = [_choose_path([load_path(state, ask.organization, name) for name in names], choice) for names in holdings]
    charged = frozenset(grant.name for path in paths for grant in path)
    chosen_paths = []
    for path in paths:
        amounts, model = greatest, ask.call[MODELS]
        if ask.quantile_ppm is not None and model is not None:
            amounts, _ = estimate_amounts(state, ask.organization, path[0].name, model, greatest, ask.quantile_ppm)
        request = AskedCall(ask.organization, ask.call, amounts, charged, state, now_us)
        chosen_paths.append(ChosenPath(path, request, path[0].name not in choice.grants))
    return chosen_paths


def _choose_path(paths: Sequence[list[Grant]], choice: Choice) -> list[Grant]:
    """Choose the path of the grant that allows the call, else of the one whose refusal counts."""
    refusing = {refusal.grant for refusal in choice.refusals}
    allowing = next((path for path in paths if path[0].name in choice.grants), None)
    refused = next((path for path in paths if any(grant.name in refusing for grant in path)), paths[0])
    return allowing or refused


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
