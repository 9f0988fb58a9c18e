"""The states of an organization's grants, as decisions have told them. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from ingest.moments import read_time_us
from tallystick.vocabulary.controls.grants import (
    GrantCreated,
    GrantDelegated,
    GrantExtended,
    GrantNarrowed,
    GrantRevoked,
)

CREATING = (GrantCreated.control_type, GrantDelegated.control_type)
CONTROL_TYPES = frozenset(
    (*CREATING, GrantNarrowed.control_type, GrantExtended.control_type, GrantRevoked.control_type)
)
FULL = 100
"""The threshold, in percent, from which on a limit is exhausted."""


@dataclass
class GrantState:
    """A grant: who holds it, and what stops its calls. Times are in microseconds."""

    grant: str
    parent: str | None
    dimension: str
    scope: str
    expires_us: int | None = None
    revoked_us: int | None = None
    is_paused: bool = False
    pauses_end_us: list[int] = field(default_factory=list)
    exhausted: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By limit, what the decision said that told its exhaustion."""

    @property
    def identity(self) -> dict[str, Any]:
        """Return what never changes of a grant."""
        identity = {"grant": self.grant, "dimension": self.dimension, "scope": self.scope}
        return identity if self.parent is None else identity | {"parent": self.parent}

    def find_pause_end_us(self, time_us: int) -> int | None:
        """Return when the last pause ends that ends by itself; None where none is under way."""
        return max((end_us for end_us in self.pauses_end_us if end_us > time_us), default=None)


class TimedChange(NamedTuple):
    """A change of a grant that time alone made, of which the log has no decision."""

    time_us: int
    kind: str
    reason: str
    grant: str


class GrantStates:
    """The grants of one organization by name. ``apply`` takes its decisions in order."""

    def __init__(self) -> None:
        self.grants: dict[str, GrantState] = {}

    def apply(self, line: Mapping[str, Any], body: Mapping[str, Any]) -> None:
        """Apply a decision about grants; ``body`` is the line's own, parsed."""
        if line["decision"] == "control.applied":
            self._apply_record(line["control_type"], body, line["known_us"])
            return
        state = self.grants.get(body.get("grant", ""))
        if state is None or FULL not in body.get("thresholds", ()):
            return
        if line["decision"] == "grant.rearmed":
            state.exhausted.pop(body["limit"], None)
        elif line["decision"] == "grant.crossed" and not body["past"]:
            state.exhausted[body["limit"]] = {name: body[name] for name in ("limit", "amount", "used")}

    def list_path(self, grant: str) -> list[str]:
        """Return a grant and all above it; nothing where there is no such grant."""
        path: list[str] = []
        name: str | None = grant
        while name is not None and (state := self.grants.get(name)) is not None:
            path.append(name)
            name = state.parent
        return path

    def list_timed_changes(self, since_us: int, until_us: int) -> list[TimedChange]:
        """Return what time alone changed after a moment, up to another, in order."""
        changes = (change for state in self.grants.values() for change in _list_ends(state))
        return sorted(change for change in changes if since_us < change.time_us <= until_us)

    def find_next_change_us(self, time_us: int) -> int | None:
        """Return when time alone changes something next; None where it never does."""
        ends = (change.time_us for state in self.grants.values() for change in _list_ends(state))
        return min((end_us for end_us in ends if end_us > time_us), default=None)

    def _apply_record(self, control_type: str, body: Mapping[str, Any], known_us: int) -> None:
        name = body["grant"]
        if control_type in CREATING:
            self.grants[name] = GrantState(name, body.get("parent"), body["dimension"], body["scope"])
        state = self.grants[name]
        if control_type == GrantRevoked.control_type:
            state.revoked_us = known_us
        if body.get("expires_at") is not None:
            state.expires_us = read_time_us(body["expires_at"])
        if body.get("paused") is False:
            state.is_paused = False
        elif body.get("paused") and body.get("until") is not None:
            state.pauses_end_us.append(read_time_us(body["until"]))
        elif body.get("paused"):
            state.is_paused = True
        if control_type == GrantExtended.control_type:
            for limit in body.get("limits") or ():
                exhaustion = state.exhausted.get(write_limit_key(limit))
                if exhaustion is not None and Decimal(str(limit["amount"])) > Decimal(str(exhaustion["used"])):
                    del state.exhausted[exhaustion["limit"]]


def _list_ends(state: GrantState) -> Iterator[TimedChange]:
    if state.revoked_us is not None:
        return
    if state.expires_us is not None:
        yield TimedChange(state.expires_us, "stopped", "expired", state.grant)
    for end_us in state.pauses_end_us:
        if not state.is_paused and state.find_pause_end_us(end_us) is None:
            yield TimedChange(end_us, "resumed", "pause ended", state.grant)


def write_limit_key(limit: Mapping[str, Any]) -> str:
    """Return the identity of a limit of a control record as decisions write it, for example ``billed/USD/3600s``."""
    window = limit.get("window")
    if window is None:
        key = "total"
    elif window.get("rolling_s") is not None:
        key = f"{window['rolling_s']}s"
    else:
        month = window.get("first_month") or 1
        key = f"{window['calendar']}@{window.get('zone') or 'UTC'}" + (f"+{month}" if month > 1 else "")
    return f"{limit['meter']}/{limit.get('currency') or ''}/{key}"
