"""Runaways: a session that calls the same tool with the same arguments and gets the same result, again and again.

Three times in a row raise an alert with its evidence. Calls that used no tool neither repeat nor break a run.
The alert is resolved when the session calls something else, or has been silent for a quarter of an hour of
the log's time; until then nothing more is said, so that a loop of a thousand calls is one alert.
"""

from typing import Any

import msgspec
from msgspec.structs import asdict, replace

from ledger.money import text
from streams.folds.call import Dimensions
from streams.folds.emit import Emit
from streams.folds.entry import Entry
from streams.folds.event import Event
from streams.folds.fold import Fold
from streams.folds.state import Key, State

NAME = "runaways"
MIN_REPEATS = 3
SILENCE_TIMEOUT_US = 15 * 60 * 1_000_000
DETECTOR = "repeated_tool"


class RepeatableCall(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The call that repeats: a tool, and hashes of its canonical arguments and of its result."""

    tool: str
    arguments_hash: str
    result_hash: str


Evidence = tuple[str, str, int, int, int]
"""Source, id and position of a call."""


class Run(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A session's latest run of equal calls. Spent is at list price, whoever pays, in pico by currency."""

    call: RepeatableCall
    repeats: int
    since_us: int
    last_us: int
    spent: tuple[tuple[str, int], ...]
    evidence: tuple[Evidence, ...]  # of the first calls
    agent: str | None
    team: str | None
    alert: str | None = None


def watch_entry(event: Event, entry: Entry, state: State, emit: Emit) -> None:
    """Continue, break or begin the run of a counted inference's session."""
    dimensions = entry.dimensions
    session = dimensions.session
    if session is None:
        return
    key: Key = (NAME, event.organization, session)
    run = _load_run(key, state)
    call = _repeatable_call(dimensions)
    if call is None:
        if run is None:
            return
        run = _extend_run(run, event, entry, run.repeats, run.evidence)
    elif run is not None and run.call == call:
        run = _continue_run(run, event, entry, emit)
        if run.alert is None and run.repeats >= MIN_REPEATS:
            run = replace(run, alert="-".join(map(str, (*emit.position(), DETECTOR))))
            _emit_alert(key, run, "raised", emit)
    else:
        if run is not None and run.alert is not None:
            _emit_alert(key, run, "resolved", emit, reason="another call")
        first = (event.source, event.id, *emit.position())
        spend = _add_spend((), entry)
        run = Run(call, 1, event.time_us, event.time_us, spend, (first,), dimensions.agent, dimensions.team)
    state.put(key, run, emit.now_us + SILENCE_TIMEOUT_US)


def end_silent_run(key: Key, due_us: int, state: State, emit: Emit) -> None:
    """Forget a session that has been silent, and resolve its alert."""
    run = _load_run(key, state)
    if run is not None and run.alert is not None:
        _emit_alert(key, run, "resolved", emit, reason="silent", due_us=due_us)
    state.delete(key)


def _load_run(key: Key, state: State) -> Run | None:
    row = state.get(key)
    return row if row is None or type(row) is Run else msgspec.convert(row, Run)  # lists where a store gave it


def _repeatable_call(dimensions: Dimensions) -> RepeatableCall | None:
    tool, arguments, result = dimensions.tool, dimensions.tool_arguments_hash, dimensions.tool_result_hash
    return None if tool is None or arguments is None or result is None else RepeatableCall(tool, arguments, result)


def _continue_run(run: Run, event: Event, entry: Entry, emit: Emit) -> Run:
    evidence = run.evidence
    if len(evidence) < MIN_REPEATS:
        evidence = (*evidence, (event.source, event.id, *emit.position()))
    return _extend_run(run, event, entry, run.repeats + 1, evidence)


def _extend_run(run: Run, event: Event, entry: Entry, repeats: int, evidence: tuple[Evidence, ...]) -> Run:
    spend = _add_spend(run.spent, entry)
    return Run(run.call, repeats, run.since_us, event.time_us, spend, evidence, run.agent, run.team, run.alert)


def _add_spend(spend: tuple[tuple[str, int], ...], entry: Entry) -> tuple[tuple[str, int], ...]:
    if entry.currency is None:
        return spend
    if not spend:
        return ((entry.currency, entry.list_cost),)
    sums = dict(spend)
    sums[entry.currency] = sums.get(entry.currency, 0) + entry.list_cost
    return tuple(sorted(sums.items()))


def _emit_alert(key: Key, run: Run, state: str, emit: Emit, **facts: Any) -> None:
    owner = {name: value for name, value in (("agent", run.agent), ("team", run.team)) if value is not None}
    emit.alert(
        str(key[1]),
        str(run.alert),
        state,
        detector=DETECTOR,
        session=str(key[2]),
        **owner,
        **asdict(run.call),
        repeats=run.repeats,
        spent={currency: text(amount) for currency, amount in run.spent},
        since_us=run.since_us,
        last_us=run.last_us,
        evidence=[
            dict(zip(("source", "id", "partition", "offset", "event_index"), evidence, strict=True))
            for evidence in run.evidence
        ],
        **facts,
    )


FOLD = Fold(NAME, on_entry=watch_entry, on_due=end_silent_run)
