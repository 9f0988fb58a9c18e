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
from streams.folds.grants.admission import Ask, Choice, choose_grants, list_candidates
from streams.folds.grants.limits import Limit, is_measured, measure
from streams.folds.grants.meters import MeterKey
from streams.folds.grants.requests import SETS, estimate_amounts, read_scopes
from streams.folds.grants.tree import Grant, list_holdings, list_limits, load_path
from streams.runtime import read_catalogues
from tally.log.partition_copy import PartitionCopy
from tally.product.grants.history import read_decisions
from tally.product.grants.usage import LimitUsage, measure_limit
from tally.product.grants.ways_out import AskedCall, WayOut, find_way_out, read_shortage

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
        call = {dimension: event.data.get(field) for dimension, field in SETS.items()}
        amounts = estimate_amounts(event, call["models"], state, documents, emit)
        request = AskedCall(organization, call, amounts, state, emit.now_us)
        ask = Ask(organization, admission, read_scopes(event.data), call, emit.now_us, event.data.get("grant"))
        paths, way_out = _find_paths(request, ask)
        limits = [_measure(request, grant, limit) for grant, limit in _list_limits(paths, emit.now_us)]
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


def _find_paths(request: AskedCall, ask: Ask) -> tuple[list[list[Grant]], WayOut]:
    """Find the grant of each scope that decides, each with those above it, and what would have them allow the call."""
    choice = choose_grants(request.state, ask, ask.call, request.amounts, request.now_us)
    paths, commands, notes = list[list[Grant]](), dict[str, None](), dict[str, None]()
    for _, names in list_holdings(request.state, ask.organization, ask.scopes):
        path = _choose_path(request, list_candidates(names, ask.grant), choice)
        paths.append(path)
        if path[0].name not in choice.grants:
            way_out = find_way_out(request, path)
            commands.update(dict.fromkeys(way_out.commands))
            notes.update(dict.fromkeys(way_out.notes))
    return paths, WayOut(tuple(commands), tuple(notes))


def _choose_path(request: AskedCall, names: Sequence[str], choice: Choice) -> list[Grant]:
    """Choose the path of the grant that allows the call, else of the one whose refusal counts."""
    paths = [load_path(request.state, request.organization, name) for name in names]
    refusing = {refusal.grant for refusal in choice.refusals}
    allowing = next((path for path in paths if path[0].name in choice.grants), None)
    refused = next((path for path in paths if any(grant.name in refusing for grant in path)), paths[0])
    return allowing or refused


def _list_limits(paths: Sequence[Sequence[Grant]], now_us: int) -> list[tuple[Grant, Limit]]:
    """List the limits of some paths, each once."""
    limits = {
        (grant.name, limit.key): (grant, limit)
        for path in paths
        for grant in path
        for limit in list_limits(grant, now_us)
    }
    return list(limits.values())


def _measure(request: AskedCall, grant: Grant, limit: Limit) -> LimitAtAsk:
    key = MeterKey(request.organization, grant.name, limit.key)
    amount = measure(limit, request.amounts) if is_measured(limit, request.amounts) else None
    usage = measure_limit(key, limit, request.state, request.now_us)
    return LimitAtAsk(grant.name, usage, amount, not read_shortage(request, grant, limit))


def _read_time_us(decision: dict[str, Any]) -> int:
    due_us: int | None = decision.get("due_us")
    return int(decision["accepted_ms"]) * 1000 if due_us is None else due_us
