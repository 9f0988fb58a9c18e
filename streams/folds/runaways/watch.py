"""Runaways: an agent of a session that goes on and learns nothing new.

Each agent of a session has one run at a time (``run.py``). The first detector that finds a run (``registry.py``) opens
an incident (``incident.py``) and raises its alert. The alert is resolved when the agent learns something new again, or
has been silent for a quarter of an hour. Until then it is the only one, so that a loop of a thousand calls is one
alert; it escalates where more than one family finds it, and as its cost grows.
"""

from typing import Any

import msgspec
from msgspec.structs import replace

from ledger.money import text
from ledger.runaway_rules import NAME
from streams.folds.emit import Emit
from streams.folds.entry import Entry
from streams.folds.event import Event
from streams.folds.fold import Fold
from streams.folds.runaways.agent_tree import AgentTree, add_agent, add_call
from streams.folds.runaways.incident import Amounts, escalate, open_incident
from streams.folds.runaways.pace import THOUSANDTHS, Habit, Pace, spend
from streams.folds.runaways.registry import DETECTORS, find_detectors
from streams.folds.runaways.run import (
    Run,
    Signature,
    WatchedCall,
    begin_run,
    begin_unsigned,
    continue_run,
    count_input_tokens,
    is_known,
    project_run,
    sign_call,
    take_call,
    take_news,
)
from streams.folds.runaways.thresholds import Rules, adopt_rules, load_rules
from streams.folds.state import Key, State
from tallystick.vocabulary.controls.alerts import RulesAdopted

SILENCE_TIMEOUT_US = 15 * 60 * 1_000_000
"""By the events' own times."""
ARRIVAL_TIMEOUT_US = 20 * 60 * 1_000_000
"""By the log's time, where nothing more arrives: longer, so that a call that was five minutes late goes on with its
run."""
HABIT_MEMORY_US = 30 * 86_400 * 1_000_000
"""What an agent spent in a minute is forgotten after so long without a call."""
_HABIT_KEY = (NAME, "organization", "agent")
PAST_US = 60 * 60 * 1_000_000
"""What ended so long before the log's time is history, and nobody is called for it."""


def watch_entry(event: Event, entry: Entry, state: State, emit: Emit) -> None:
    """Continue, end or begin the run of a counted inference's agent, and that of the agents of its session."""
    dimensions = entry.dimensions
    if dimensions.session is None:
        return
    key: Key = (NAME, event.organization, dimensions.session, dimensions.agent or "")
    signature, rules = sign_call(dimensions), load_rules(event.organization, state)
    run = _load_current_run(key, event, state, emit)
    if run is None and signature is None and dimensions.agent is None:
        return
    if dimensions.agent is not None:
        _watch_tree(run is None, signature, rules, event, entry, state, emit)
    next_run = _take_call(key, run, signature, event, entry, emit)
    next_run = replace(next_run, pace=_keep_pace(None if run is None else run.pace, rules, event, entry, state, emit))
    state.put(key, _tell(key, _add_spend(next_run, entry), rules, emit), emit.now_us + ARRIVAL_TIMEOUT_US)


def end_silent_run(key: Key, due_us: int, state: State, emit: Emit) -> None:
    """Forget an agent that has been silent, and resolve its alert; or the habit of one that has long made no call."""
    if len(key) > len(_HABIT_KEY):
        run = _load_run(key, state)
        if run is not None:
            _resolve_alert(key, run, "silent", emit, due_us=due_us)
    state.delete(key)


def _load_current_run(key: Key, event: Event, state: State, emit: Emit) -> Run | None:
    """Return the run of a key that an event may go on with; one that was silent until then is resolved."""
    run = _load_run(key, state)
    if run is not None and event.time_us - run.last_us >= SILENCE_TIMEOUT_US:
        _resolve_alert(key, run, "silent", emit)
        state.delete(key)
        return None
    return run


def _take_call(key: Key, run: Run | None, signature: Signature | None, event: Event, entry: Entry, emit: Emit) -> Run:
    """Return the run that a call goes on with, or begins. A call without a signature goes on with one."""
    call = _read_call(event, entry, emit)
    if run is None:
        return begin_unsigned(call) if signature is None else begin_run((), signature, call)
    if signature is None:
        return take_call(run, event.time_us)
    if is_known(run, signature):
        return continue_run(run, signature, call)
    if (ongoing := take_news(run, signature, event.time_us)) is not None:
        return ongoing
    is_fast = run.incident is not None and run.incident.detector == "fast_spend"
    _resolve_alert(key, run, "usual pace" if is_fast else "new results", emit)
    return begin_run(run.known, signature, call)


def _watch_tree(
    is_new: bool, signature: Signature | None, rules: Rules, event: Event, entry: Entry, state: State, emit: Emit
) -> None:
    """Continue the run of a session whose agents start each other. Sessions without a parent call have none."""
    dimensions = entry.dimensions
    key: Key = (NAME, event.organization, str(dimensions.session), "", "agents")
    run = _load_current_run(key, event, state, emit)
    if run is None and dimensions.parent_call is None:
        return
    if run is None:
        run = replace(begin_unsigned(_read_call(event, entry, emit)), tree=AgentTree())
    else:
        run = take_call(run, event.time_us)
    tree = add_call(run.tree or AgentTree(), event.id, str(dimensions.agent), dimensions.parent_call)
    if is_new and signature is not None:
        tree = add_agent(tree, "|".join(signature.list_texts()))
    run = _tell(key, _add_spend(replace(run, tree=tree), entry), rules, emit)
    state.put(key, run, emit.now_us + ARRIVAL_TIMEOUT_US)


def _keep_pace(pace: Pace | None, rules: Rules, event: Event, entry: Entry, state: State, emit: Emit) -> Pace | None:
    """Add the cost of a call to its agent's pace in the session, and a minute that ended to the agent's habit."""
    if entry.currency is None or entry.dimensions.agent is None:
        return pace
    key: Key = (NAME, event.organization, entry.dimensions.agent)
    row = state.get(key)
    former = Habit() if row is None else row if type(row) is Habit else msgspec.convert(row, Habit)
    habit = Habit() if event.time_us - former.last_us >= HABIT_MEMORY_US else former
    threshold = rules.thresholds.get("fast_spend")
    limit = None if threshold is None else threshold * THOUSANDTHS
    spending = spend(pace, habit, entry.currency, event.time_us, entry.list_cost, limit)
    if spending.habit is not habit:
        state.put(key, spending.habit, emit.now_us + HABIT_MEMORY_US)
    return spending.pace


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


def _tell(key: Key, run: Run, rules: Rules, emit: Emit) -> Run:
    """Raise an alert where a detector finds the run, and escalate the one that there is."""
    is_fast = run.pace is not None and run.pace.is_fast
    if run.incident is None and run.repeats == 1 and run.tree is None and not is_fast:
        return run
    detectors = list(find_detectors(run, rules))
    families = [DETECTORS[name].family for name in detectors]
    if run.incident is None:
        detector = next((name for name in detectors if not DETECTORS[name].confirms), None)
        if detector is None:
            return run
        alert = "-".join(map(str, (*emit.position(), detector)))
        incident = open_incident(alert, detector, families, run.spent, project_run(run), rules.max_loss)
        run = replace(run, incident=incident)
        _emit_alert(key, run, "raised", emit)
        return run
    incident, reason = escalate(run.incident, families, run.spent, project_run(run), rules.max_loss)
    run = replace(run, incident=incident)
    if reason is not None:
        _emit_alert(key, run, "escalated", emit, reason=reason)
    return run


def _resolve_alert(key: Key, run: Run, reason: str, emit: Emit, **facts: Any) -> None:
    if run.incident is not None:
        _emit_alert(key, run, "resolved", emit, reason=reason, **facts)


def _emit_alert(key: Key, run: Run, state: str, emit: Emit, **facts: Any) -> None:
    assert run.incident is not None
    _, organization, session, agent = map(str, key[:4])
    owner = {name: value for name, value in (("agent", agent or None), ("team", run.team)) if value is not None}
    loss = project_run(run)
    emit.alert(
        organization,
        run.incident.alert,
        state,
        severity=run.incident.severity,
        detector=run.incident.detector,
        families=list(run.incident.families),
        session=session,
        **owner,
        **_describe_call(run),
        calls=run.calls,
        repeats=run.repeats,
        spent=_write_amounts(run.spent),
        per_hour=_write_amounts(loss.per_hour),
        projected=_write_amounts(loss.projected),
        since_us=run.since_us,
        last_us=run.last_us,
        evidence=[
            dict(zip(("source", "id", "partition", "offset", "event_index"), evidence, strict=True))
            for evidence in run.evidence
        ],
        **({"past": True} if emit.now_us - run.last_us > PAST_US else {}),
        **facts,
    )


def _write_amounts(amounts: Amounts) -> dict[str, str]:
    return {currency: text(amount) for currency, amount in amounts}


def _describe_call(run: Run) -> dict[str, str]:
    """Return the call that repeats, where it is one."""
    if run.incident is None or run.incident.detector != "repeated_tool":
        return {}
    result_hash = run.first.brought if run.first.kind == "result" else ""
    call = {"tool": run.first.tool, "arguments_hash": run.first.asked, "result_hash": result_hash}
    return {name: value for name, value in call.items() if value}


FOLD = Fold(NAME, on_entry=watch_entry, on_control={RulesAdopted.control_type: adopt_rules}, on_due=end_silent_run)
