"""Append a control record of a grant, and read what the folds answer."""

import json
from typing import Any, NamedTuple

from ingest.controls.append import append_control
from ledger.log import Log, Position, partition_of, records
from ledger.log.topics import DECISIONS
from ledger.settings import Settings
from tally.processes.join import needing
from tally.processes.service import STREAMS
from tally.product.catch_up import wait_for_folds

APPLIED, INEFFECTIVE = "control.applied", "control.ineffective"
_HINTS = {
    "already: a name is given once": "choose another name, or change that one with `tally grant narrow` or `extend`",
    "there is no grant": "`tally grant list` shows the grants that there are",
    "is not delegable": "have it made so with `tally grant extend --delegable`, or use `tally grant create --parent`",
    "has less than that left": "give less; `tally grant show` of the parent shows what is left",
    "which grant.extended says": "use `tally grant extend`",
    "which grant.narrowed says": "use `tally grant narrow`",
    "is not in": "leave it out, or widen that grant first with `tally grant extend`",
    "a floor is kept out of a parent's limit": "leave the floor out, or create it below another with --parent",
    "has no such limit to keep a floor of": "leave the floor out, or narrow that grant to such a limit first",
    "only warns, so it keeps no floor": "leave the floor out, or narrow that limit with --at-limit deny",
    "would be above its limit": "give a lower floor; `tally grant tree` shows the floors of its other grants",
    "floors already": "leave the floor out, or revoke one of those grants",
    "need more than that": "lower their floors first with `tally grant narrow`, or give --until",
    "is above that of": "give less, or raise the limit of that grant first with `tally grant extend`",
    "it would expire after": "give an earlier --expires, or extend that grant first",
    "it would expire before it starts": "give a later --expires",
    "is revoked": "a revoked grant stays so: create another",
    "is expired": "extend it with `tally grant extend --expires`, or create another",
}
"""The way out of each reason for which a record has no effect, by words of it."""


class Answer(NamedTuple):
    """The answer to a record: its body as it stands on the log, or why it has no effect. ``warning`` is why a limit of
    it counts nothing."""

    position: Position
    body: dict[str, Any]
    reason: str | None = None
    warning: str | None = None


def append_grant_record(
    log: Log, settings: Settings, control_type: str, body: dict[str, Any], reason: str | None
) -> Answer:
    """Append a record of a grant and wait until it is folded. TallyError where the vocabulary refuses it."""
    organization = settings.organization
    start = log.end(DECISIONS, partition_of(organization))
    position = append_control(log, settings, control_type, body, organization=organization, reason=reason)
    with needing(settings, [STREAMS]) as running:
        wait_for_folds(log, running)
    return find_answer(log, position, start)


def find_answer(log: Log, position: Position, start: int = 0) -> Answer:
    """Find the decision that a record caused, among those from an offset on."""
    for record in records(log, DECISIONS, position.partition, start):
        if record.cause_offset != position.offset:
            continue
        for line in record.value.split(b"\n"):
            decision = json.loads(line)
            if decision["event_index"] != position.event_index:
                continue
            if decision["decision"] == APPLIED:
                return Answer(position, json.loads(decision["body"]), warning=decision.get("reason"))
            if decision["decision"] == INEFFECTIVE:
                return Answer(position, {}, decision["reason"])
    return Answer(position, {}, "its folds gave no answer: `tally tail` shows what became of it")


def find_hint(reason: str) -> str | None:
    """Return the way out of a reason; None where the reason says it."""
    return next((hint for words, hint in _HINTS.items() if words in reason), None)
