"""Messages to subscribers: lines of ``tally.decisions`` as server-sent events. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ingest.api.decisions.grant_states import (
    CONTROL_TYPES,
    CREATING,
    FULL,
    GrantState,
    GrantStates,
    TimedChange,
)
from ingest.api.decisions.position import DecisionPosition
from ingest.intake.intake import decode, encode
from ingest.moments import read_time_us, write_time
from ledger.log import Record
from tallystick.vocabulary.controls.grants import GrantExtended, GrantRevoked

KINDS = {
    "exhausted": "a limit has reached 100 percent",
    "threshold": "a limit has crossed a lower threshold",
    "refused": "an ask or a lease was refused, since a limit has no room for it",
    "refilled": "time has emptied a limit again, or a person has raised it",
    "frozen": "a grant is paused",
    "resumed": "a pause has ended",
    "stopped": "a grant is revoked, or has expired",
    "changed": "a grant was created, or changed in another way",
}
"""The kinds of events, which are their names, and when each is told."""
STATE, END = "state", "end"
"""Names of the events before the first decision and after the last."""
MARKS = (b'"grant.', rb"\"reason\":\"limit\"")
"""One of these stands in each line that is told, and in few others: to look for them is cheaper than to parse each."""
_LIMIT_FIELDS = ("limit", "amount", "used", "left", "thresholds", "admission", "lease")


class Decision(NamedTuple):
    """A decision about a grant: its line, the line's body, and the kind of event that it is told as."""

    position: DecisionPosition
    organization: str
    time_us: int
    kind: str | None
    grant: str
    line: Mapping[str, Any]
    body: Mapping[str, Any]


def read_decisions(record: Record) -> Iterator[Decision]:
    """Yield the decisions of a record that are about grants."""
    lines = record.value.split(b"\n") if _has_mark(record.value) else ()
    for raw in lines:
        if _has_mark(raw):
            line = decode(raw)
            if line["decision"] == "control.applied" and line.get("control_type") not in CONTROL_TYPES:
                continue
            body = decode(line.get("body") or "{}")
            position = DecisionPosition(line["partition"], line["offset"], line["seq"])
            time_us = line.get("due_us") or line["accepted_ms"] * 1000
            yield Decision(
                position, line["organization"], time_us, find_kind(line, body), body.get("grant", ""), line, body
            )


def _has_mark(raw: bytes) -> bool:
    return MARKS[0] in raw or MARKS[1] in raw


def find_kind(line: Mapping[str, Any], body: Mapping[str, Any]) -> str | None:
    """Return the kind of event that a decision is told as; None where it is not told."""
    decision = line["decision"]
    if decision == "grant.crossed":
        return None if body["past"] else "exhausted" if FULL in body["thresholds"] else "threshold"
    if decision == "grant.rearmed":
        return "refilled"
    if decision in ("admission.decided", "lease.refused"):
        return "refused" if body.get("reason") == "limit" else None
    if decision != "control.applied":
        return None
    if line["control_type"] == GrantRevoked.control_type:
        return "stopped"
    if body.get("paused") is not None:
        return "frozen" if body["paused"] else "resumed"
    return "refilled" if line["control_type"] == GrantExtended.control_type and body.get("limits") else "changed"


def write_decision(decision: Decision, states: GrantStates) -> bytes:
    """Write a decision as an event, whose id is its position."""
    line, body = decision.line, decision.body
    content = _identify(states, decision.grant) | {"at": write_time(decision.time_us)}
    content |= {name: body[name] for name in _LIMIT_FIELDS if body.get(name) is not None}
    if line["decision"] == "control.applied":
        content |= {"reason": line["control_type"]}
        content |= {name: body[name] for name in ("allow", "limits") if body.get(name) is not None}
        times = {name: body[name] for name in ("until", "expires_at") if body.get(name) is not None}
        content |= {name: write_time(read_time_us(text)) for name, text in times.items()}
        if line["control_type"] in CREATING:
            content["starts_at"] = write_time(line["effective_us"])
    elif decision.kind == "refused":
        content |= {name: body[name] for name in ("answer", "retryable", "granted_by") if body.get(name) is not None}
        if body.get("refill_us") is not None:
            content["refills_at"] = write_time(body["refill_us"])
    return write_event(decision.kind or "", content, decision.position)


def write_timed_change(change: TimedChange, states: GrantStates) -> bytes:
    """Write what time alone changed. It has no id, since no decision stands on the log."""
    return write_event(
        change.kind, _identify(states, change.grant) | {"at": write_time(change.time_us), "reason": change.reason}
    )


def write_state(
    states: GrantStates, position: DecisionPosition, now_us: int, kinds: Sequence[str], grants: frozenset[str] | None
) -> bytes:
    """Write which grants are exhausted, frozen and stopped at a position, of the kinds and grants that are told."""
    concerned = [state for state in states.grants.values() if grants is None or state.grant in grants]
    stops = [(state, stop) for state in concerned if (stop := _describe_stop(state, now_us)) is not None]
    lists = {
        "exhausted": [state.identity | limit for state in concerned for limit in state.exhausted.values()],
        "frozen": [state.identity | stop for state, stop in stops if stop["reason"] == "paused"],
        "stopped": [state.identity | stop for state, stop in stops if stop["reason"] != "paused"],
    }
    content: dict[str, Any] = {"at": write_time(now_us)}
    return write_event(STATE, content | {kind: lists[kind] for kind in lists if kind in kinds}, position)


def write_event(name: str, content: Mapping[str, Any], position: DecisionPosition | None = None) -> bytes:
    """Write a server-sent event. JSON has no line breaks outside of its texts, and none in them."""
    id = b"" if position is None else f"id: {position}\n".encode()
    return b"%bevent: %b\ndata: %b\n\n" % (id, name.encode(), encode(content))


def _identify(states: GrantStates, grant: str) -> dict[str, Any]:
    state = states.grants.get(grant)
    return {"grant": grant} if state is None else state.identity


def _describe_stop(state: GrantState, now_us: int) -> dict[str, Any] | None:
    if state.revoked_us is not None:
        return {"reason": "revoked"}
    if state.expires_us is not None and state.expires_us <= now_us:
        return {"reason": "expired", "expires_at": write_time(state.expires_us)}
    end_us = state.find_pause_end_us(now_us)
    if state.is_paused or end_us is None:
        return {"reason": "paused"} if state.is_paused else None
    return {"reason": "paused", "until": write_time(end_us)}
