"""Decisions of people, appended through the same door as everything else."""

import uuid
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from ingest.intake.batch import Envelope
from ingest.intake.intake import decode, door, encode
from ingest.intake.rejection import Refused
from ledger.errors import TallyError
from ledger.log import Log, Position
from ledger.log.topics import EVENTS
from ledger.organizations import check_organization
from ledger.settings import Settings
from tallystick.vocabulary.controls.control import BODIES

SOURCE = "tally-cli"
ORGANIZATION = "organization"
ELSEWHERE = {
    "price_book.adopted": "`tally price adopt` makes, as it brings the book",
    "log.closed": "`tally log copy` makes",
    "generation.activated": "`tally rebuild` makes",
    "subject.erased": "`tally subject erase` makes, as it forgets the name",
}
"""Decisions that take more than a record."""


def append_control(
    log: Log,
    settings: Settings,
    control: str,
    body: dict[str, Any],
    *,
    organization: str,
    reason: str | None = None,
    actor: str | None = None,
) -> Position:
    """Append a decision, in force from now on. TallyError names the field that is not possible."""
    check_organization(organization, "TALLY_ORGANIZATION", "have decisions")
    _check(control, body)
    line = _line(settings, control, body, organization, reason, actor)
    (record,) = log.append(EVENTS, [Envelope(organization, "control", "local").draft(line)])
    return Position(record.partition, record.offset, 0)


def checked_decision(line: bytes, organization: str) -> None:
    """Of a decision as it would stand on the log. Refused where it is made elsewhere, or is another's."""
    data = decode(line)["data"]
    control, body = data["control"], data["body"]
    if control in ELSEWHERE:
        raise Refused("data.control", f"is {control}, which {ELSEWHERE[control]}", data)
    if control == "budget.allocated" and body["dimension"] == ORGANIZATION and body["scope"] != organization:
        raise Refused("data.body.scope", f"must be {organization!r}: the budget is for the whole organization", data)


def _check(control: str, body: dict[str, Any]) -> None:
    """What is wrong with a body, in words for the person who typed it."""
    if control in BODIES:
        try:
            BODIES[control].model_validate_json(encode(body))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            field = ".".join(map(str, first["loc"]))
            said = first["msg"].removeprefix("Value error, ")
            raise TallyError(f"{control} is not possible: {field} is {first['input']!r}: {said}") from None


def _line(
    settings: Settings,
    control: str,
    body: dict[str, Any],
    organization: str,
    reason: str | None,
    actor: str | None,
) -> bytes:
    now = datetime.now(UTC).isoformat()
    data = {"control": control, "actor": actor, "reason": reason, "body": body}
    event = {
        "id": str(uuid.uuid4()),
        "source": SOURCE,
        "type": "tallystick.control.v1",
        "time": now,
        "data": data | {"effective_at": now, "recorded_at": now},
    }
    try:
        return door(settings.home, organization, ("control",)).enter_event(event).line
    except Refused as refused:
        raise TallyError(f"{control} is not possible: {refused}") from None
