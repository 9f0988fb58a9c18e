"""Find the command that takes a correction back: the ledger is never rewritten, so it is another correction."""

import json
import shlex
from collections.abc import Mapping
from typing import Any, NamedTuple

from ledger import outcomes
from ledger.errors import TallyError
from ledger.settings import Settings
from streams.folds.event import parse_line
from streams.folds.identity import find_quarantine_reason
from tally.log.event_state import find_last_change
from tally.product.correction import History, Trial, build_correction
from tally.product.correction_fields import compare_fields, flatten_fields, write_value

_REASON = "taken back"


class Undo(NamedTuple):
    """The command that takes a correction back, where options can, and a remark on it, or on why there is none."""

    command: str | None
    note: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the command and the remark."""
        return {"undo": self.command, "undo_note": self.note}


def find_undo(settings: Settings, history: History, trial: Trial, organization: str | None) -> Undo:
    """Find the way back to what counted before a correction. Nothing puts an event back into quarantine, or holds it
    again: one that was quarantined is reversed, and one that was held counts at once."""
    last = find_last_change(history.lines)
    outcome, is_counted = last and last["outcome"], trial.after.absence is None
    if outcome == outcomes.HELD and is_counted and trial.data == history.data:
        return Undo(None, "Nothing takes it back: the event would have counted when due. --reverse takes it out.")
    if outcome == outcomes.QUARANTINED and not is_counted:
        return Undo(None, "Nothing takes it back: an event does not return to quarantine. --set counts it, put right.")
    note = None
    if trial.before.absence is not None and outcome != outcomes.HELD:
        options = ["--reverse"]
        if outcome == outcomes.QUARANTINED:
            note = "It counts nothing then, and has no upper bound: an event does not return to quarantine."
    else:
        fields = list_former_fields(history.data, trial.data)
        if not fields or any("=" in name for name in fields) or not _restores(settings, history, trial, fields):
            return Undo(None, "No command writes the former fields as they were: count the event again with --set.")
        options = [part for name, value in fields.items() for part in ("--set", f"{name}={value or ''}")]
        note = "It counts at once then: an event is not held again." if outcome == outcomes.HELD else None
    owner = [] if organization is None else ["--organization", organization]
    name = f"{history.source}/{history.id}"
    return Undo(shlex.join(["tally", "correct", name, *options, *owner, "--reason", _REASON]), note)


def list_former_fields(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, str | None]:
    """Return the fields that differ as --set takes them, with their former values; a field that stays, where none
    does: setting it again makes a reversed event count."""
    changes = {name: change["before"] for name, change in compare_fields(before, after).items()}
    if not changes:
        changes = dict(list(flatten_fields(before).items())[:1])
    return {name: write_value(name, value) for name, value in changes.items()}


def _restores(settings: Settings, history: History, trial: Trial, fields: Mapping[str, str | None]) -> bool:
    """Tell whether a replacement of these fields has the former data again, as the intake accepts it, and counts."""
    corrected = history._replace(data=trial.data)
    try:
        undo = build_correction(settings, corrected, outcomes.REPLACEMENT, _REASON, fields, None)
    except TallyError:
        return False
    line = undo.canonical()
    is_counted = find_quarantine_reason(parse_line(0, line, history.organization)) is None
    return is_counted and bool(json.loads(line)["data"]["replacement"] == history.data)
