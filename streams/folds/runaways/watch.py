"""Runaways: an agent of a session that goes on and learns nothing new.

Each agent of a session has one run at a time (``run.py``). The first detector that finds a run (``registry.py``) raises
an alert with its evidence. The alert is resolved when the agent learns something new, or has been silent for a quarter
of an hour; until then no further alert is raised, so that a loop of a thousand calls is one alert.
"""

from typing import Any

import msgspec
from msgspec.structs import replace

from ledger.money import text
from streams.folds.emit import Emit
from streams.folds.entry import Entry
from streams.folds.event import Event
from streams.folds.fold import Fold
from streams.folds.runaways.registry import DETECTORS
from streams.folds.runaways.run import (
    Run,
    Signature,
    WatchedCall,
    begin_run,
    continue_run,
    count_input_tokens,
    is_known,
    sign_call,
)
from streams.folds.state import Key, State

NAME = "runaways"
SILENCE_TIMEOUT_US = 15 * 60 * 1_000_000


def watch_entry(event: Event, entry: Entry, state: State, emit: Emit) -> None:
    """Continue, end or begin the run of a counted inference's agent."""
    dimensions = entry.dimensions
    if dimensions.session is None:
        return
    key: Key = (NAME, event.organization, dimensions.session, dimensions.agent or "")
    signature = sign_call(dimensions)
    run = _load_run(key, state)
    if run is not None and event.time_us - run.last_us >= SILENCE_TIMEOUT_US:
        _resolve_alert(key, run, "silent", emit)
        state.delete(key)
        run = None
    if signature is None and run is None:
        return
    if run is None or (signature is not None and _is_news(run, signature)):
        assert signature is not None
        if run is not None:
            _resolve_alert(key, run, "another call", emit)
        run = _add_spend(begin_run(() if run is None else run.known, signature, _read_call(event, entry, emit)), entry)
    elif signature is None:
        run = _add_spend(replace(run, last_us=max(run.last_us, event.time_us)), entry)
    else:
        run = _add_spend(continue_run(run, signature, _read_call(event, entry, emit)), entry)
        run = _raise_alert(key, run, emit)
    state.put(key, run, emit.now_us + SILENCE_TIMEOUT_US)


def end_silent_run(key: Key, due_us: int, state: State, emit: Emit) -> None:
    """Forget an agent that has been silent, and resolve its alert."""
    run = _load_run(key, state)
    if run is not None:
        _resolve_alert(key, run, "silent", emit, due_us=due_us)
    state.delete(key)


def _is_news(run: Run, signature: Signature) -> bool:
    """Tell whether a call ends a run: also one that an alert about a single call does not speak of."""
    return not is_known(run, signature) or (run.detector == "repeated_tool" and signature != run.first)


def _load_run(key: Key, state: State) -> Run | None:
    row = state.get(key)
    return row if row is None or type(row) is Run else msgspec.convert(row, Run)  # lists where a store gave it


def _read_call(event: Event, entry: Entry, emit: Emit) -> WatchedCall:
    input_tokens = None if event.call is None else count_input_tokens(event.call)
    evidence = (event.source, event.id, *emit.position())
    return WatchedCall(event.time_us, input_tokens, evidence, entry.dimensions.team)


def _add_spend(run: Run, entry: Entry) -> Run:
    if entry.currency is None:
        return run
    sums = dict(run.spent)
    sums[entry.currency] = sums.get(entry.currency, 0) + entry.list_cost
    return replace(run, spent=tuple(sorted(sums.items())))


def _raise_alert(key: Key, run: Run, emit: Emit) -> Run:
    """Raise the alert of the first detector that finds a run, unless one is raised already."""
    if run.alert is not None:
        return run
    detector = next((name for name, is_found in DETECTORS.items() if is_found(run)), None)
    if detector is None:
        return run
    run = replace(run, alert="-".join(map(str, (*emit.position(), detector))), detector=detector)
    _emit_alert(key, run, "raised", emit)
    return run


def _resolve_alert(key: Key, run: Run, reason: str, emit: Emit, **facts: Any) -> None:
    if run.alert is not None:
        _emit_alert(key, run, "resolved", emit, reason=reason, **facts)


def _emit_alert(key: Key, run: Run, state: str, emit: Emit, **facts: Any) -> None:
    _, organization, session, agent = map(str, key)
    owner = {name: value for name, value in (("agent", agent or None), ("team", run.team)) if value is not None}
    emit.alert(
        organization,
        str(run.alert),
        state,
        detector=run.detector,
        session=session,
        **owner,
        **_describe_call(run),
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


def _describe_call(run: Run) -> dict[str, str]:
    """Return the call that repeats, where it is one."""
    if run.detector != "repeated_tool":
        return {}
    result_hash = run.first.brought if run.first.kind == "result" else ""
    call = {"tool": run.first.tool, "arguments_hash": run.first.asked, "result_hash": result_hash}
    return {name: value for name, value in call.items() if value}


FOLD = Fold(NAME, on_entry=watch_entry, on_due=end_silent_run)
