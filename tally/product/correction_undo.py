"""Find the command that takes a correction back: the ledger is never rewritten, so it is another correction."""

import json
import shlex
from collections.abc import Mapping
from typing import Any

from ledger import outcomes
from ledger.errors import TallyError
from ledger.inference_fields import LISTS
from ledger.settings import Settings
from tally.product.correction import History, Trial, build_correction, compare_fields, flatten_fields

_REASON = "taken back"


def find_undo_command(settings: Settings, history: History, trial: Trial, organization: str | None) -> str | None:
    """Return the command that brings back what counted before a correction. An event that did not count is reversed,
    since nothing puts it back into quarantine. None where no options write the former fields as they were."""
    if trial.before.absence is not None:
        options = ["--reverse"]
    else:
        fields = _list_former_fields(history.data, trial.data)
        if not fields or any("=" in name for name in fields) or not _restores(settings, history, trial, fields):
            return None
        options = [part for name, value in fields.items() for part in ("--set", f"{name}={value or ''}")]
    owner = [] if organization is None else ["--organization", organization]
    return shlex.join(["tally", "correct", f"{history.source}/{history.id}", *options, *owner, "--reason", _REASON])


def _list_former_fields(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, str | None]:
    """Return the fields that differ as --set takes them, with their former values; a field that stays, where none
    does: setting it again makes a reversed event count."""
    changes = {name: change["before"] for name, change in compare_fields(before, after).items()}
    if not changes:
        changes = dict(list(flatten_fields(before).items())[:1])
    return {name: _write_value(name, value) for name, value in changes.items()}


def _write_value(name: str, value: Any) -> str | None:
    if value is None:
        return None
    return (",".join(map(str, value)) if name in LISTS and isinstance(value, list) else str(value)) or None


def _restores(settings: Settings, history: History, trial: Trial, fields: Mapping[str, str | None]) -> bool:
    """Tell whether a replacement of these fields has the former data again, as the intake accepts it."""
    corrected = history._replace(data=trial.data)
    try:
        undo = build_correction(settings, corrected, outcomes.REPLACEMENT, _REASON, fields, None)
    except TallyError:
        return False
    return bool(json.loads(undo.canonical())["data"]["replacement"] == history.data)
