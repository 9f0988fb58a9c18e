"""Find the commands that put an event right which does not count, or not as it should.

Each correction is tried on what the log says of the event, as `tally correct` would: what it refuses is not named.
"""

import json
import shlex
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from pydantic import ValidationError

from ledger import outcomes
from ledger.errors import TallyError
from ledger.log import Log, Position, parse_position
from ledger.settings import Settings
from streams.folds.identity import TOKEN_TOTALS_MISMATCH
from tally.log.event_state import REVERSED
from tally.product.correction import (
    MAX_LISTED,
    SOURCE,
    History,
    build_correction,
    find_history,
    has_effect,
)
from tally.product.correction_undo import list_former_fields
from tallystick import Correction, CorrectionEvent

_REASON = "…"
_SEND_AGAIN = "send it again, put right, under another id"


class WayOut(NamedTuple):
    """The way to put an event right: a command, where one does, and its effect."""

    command: str | None
    effect: str


def list_ways_out(log: Log, settings: Settings, facts: Mapping[str, Any]) -> list[WayOut]:
    """List what puts the event right that :func:`explain_event` describes; nothing for one that counts and is in no
    conflict."""
    summary = facts["summary"]
    conflicts = [step["position"] for step in facts["steps"] if step["outcome"] == outcomes.CONFLICT][-MAX_LISTED:]
    if summary["state"] == outcomes.COUNTED and not conflicts:
        return []
    if summary["kind"] != "inference":
        return list(_list_for_others(facts, summary, conflicts))
    name = f"{facts['source']}/{facts['id']}"
    try:
        history = find_history(log, facts["organization"], name)
    except TallyError:
        return []  # another event's id is this one's source and id: no name means this one alone
    return list(_list_for_calls(log, settings, history, summary, conflicts))


def _list_for_others(facts: Mapping[str, Any], summary: Mapping[str, Any], conflicts: list[str]) -> Iterator[WayOut]:
    """Yield the ways out of events that no correction can name: what is no call, and what is no event."""
    if summary["kind"] == "unknown":
        place = facts["steps"][0]["position"].split("-")
        options = zip(("--partition", "--offset", "--index", "--limit"), (*place, "1"), strict=True)
        words = [word for option in options for word in option]
        yield WayOut(shlex.join(["tally", "log", "events", *words]), "prints the line; put right, it can be sent again")
    elif summary["state"] == outcomes.HELD:
        yield WayOut(None, "wait: nothing makes it apply before, since only calls can be released")
    elif summary["state"] == outcomes.QUARANTINED:
        yield WayOut(None, _SEND_AGAIN)
    elif conflicts:
        yield WayOut(None, f"only a conflict of calls can be accepted: {_SEND_AGAIN}")


def _list_for_calls(
    log: Log, settings: Settings, history: History, summary: Mapping[str, Any], conflicts: list[str]
) -> Iterator[WayOut]:
    state = summary["state"]
    build = _Commands(log, settings, history)
    if state in (outcomes.HELD, outcomes.QUARANTINED):
        effect = "counts it now, at its time or the present" if state == outcomes.HELD else "counts it as it is"
        yield from build.try_action(outcomes.RELEASE, ["--release"], effect)
    if state == outcomes.QUARANTINED and summary.get("reason") == TOKEN_TOTALS_MISMATCH:
        yield WayOut(build.write(["--set", "tokens.CLASS=N"]), "counts it with other tokens")
    elif state == outcomes.QUARANTINED and (field := str(summary.get("detail")).partition(" ")[0]) in history.data:
        yield WayOut(build.write(["--set", f"{field}=VALUE"]), f"counts it with another {field}")
    if state == outcomes.HELD:
        yield from build.try_action(outcomes.REVERSAL, ["--reverse"], "keeps it out of the ledger when it falls due")
    elif state == outcomes.QUARANTINED:
        yield from build.try_action(outcomes.REVERSAL, ["--reverse"], "takes its bound out of the unknown spend")
    elif state == REVERSED:
        yield from build.try_same_fields("counts it again, at the prices in force now")
    for text in conflicts:
        position = parse_position(text)
        effect = f"counts {text}, which is in conflict, in place of what counts now"
        yield from build.try_action(outcomes.ACCEPTANCE, ["--accept", text], effect, position)


class _Commands:
    """Builds commands that correct one event, and tries them."""

    def __init__(self, log: Log, settings: Settings, history: History) -> None:
        self._log, self._settings, self._history = log, settings, history

    def write(self, options: list[str]) -> str:
        """Write a command with options."""
        history = self._history
        is_default = history.organization == self._settings.organization
        owner = [] if is_default else ["--organization", history.organization]
        name = f"{history.source}/{history.id}"
        return shlex.join(["tally", "correct", name, *options, *owner, "--reason", _REASON])

    def try_action(
        self, action: str, options: list[str], effect: str, accepted: Position | None = None
    ) -> Iterator[WayOut]:
        """Yield the command of a correction without fields, where it would change something."""
        body: dict[str, Any] = {"action": action, "of": {"source": self._history.source, "id": self._history.id}}
        if accepted is not None:
            body["accepted"] = {"offset": accepted.offset, "event_index": accepted.event_index}
        data = Correction.model_validate_json(json.dumps(body | {"reason": _REASON}))
        correction = CorrectionEvent(id=str(uuid.uuid4()), source=SOURCE, time=datetime.now(UTC), data=data)
        yield from self._try(correction, options, effect)

    def try_same_fields(self, effect: str) -> Iterator[WayOut]:
        """Yield the command that sets a field again to the value that it has, so that the event counts as it did."""
        fields = list_former_fields(self._history.data, self._history.data)
        try:
            correction = build_correction(self._settings, self._history, outcomes.REPLACEMENT, _REASON, fields, None)
        except (TallyError, ValidationError):
            correction = None
        options = [word for name, value in fields.items() for word in ("--set", f"{name}={value or ''}")]
        ways = [] if correction is None or not fields else list(self._try(correction, options, effect))
        yield from ways or [WayOut(self.write(["--set", "FIELD=VALUE"]), effect)]

    def _try(self, correction: CorrectionEvent, options: list[str], effect: str) -> Iterator[WayOut]:
        if has_effect(self._log, self._history, correction):
            yield WayOut(self.write(options), effect)
