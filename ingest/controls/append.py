"""Append decisions of people, which pass the intake as every event does."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from ingest.intake.batch import Envelope
from ingest.intake.intake import decode, open_intake
from ingest.intake.rejection import Rejection
from ledger.errors import TallyError
from ledger.log import Log, Position
from ledger.log.documents import load_document
from ledger.log.topics import EVENTS
from ledger.organizations import check_organization
from ledger.settings import Settings
from tallystick.vocabulary.controls.control import CONTROL_TYPES

SOURCE = "tally-cli"
ORGANIZATION = "organization"


def append_control(
    log: Log,
    settings: Settings,
    control: str,
    body: dict[str, Any],
    *,
    organization: str,
    reason: str | None = None,
    actor: str | None = None,
    effective_at: str | None = None,
) -> Position:
    """Append a decision, in force from now on or another moment. TallyError names the field that is not possible."""
    check_organization(organization, "TALLY_ORGANIZATION", "have decisions")
    line = build_decision(settings, control, body, organization, reason, actor, effective_at)
    try:
        _check_facts(line, organization, lambda digest: load_document(log, digest) is not None)
    except Rejection as refused:
        raise _not_possible(control, refused) from None
    (record,) = log.append(EVENTS, [Envelope(organization, "control", "local").make_draft(line)])
    return Position(record.partition, record.offset, 0)


def check_decision(line: bytes, organization: str, has_document: Callable[[str], bool]) -> None:
    """Check a decision that was sent, as it would stand on the log. ``has_document`` tells whether the log holds a
    document. Refused where a command makes decisions of its type, or where facts beyond the event are against it."""
    data = decode(line)["data"]
    control = data["control"]
    if command := CONTROL_TYPES[control].command:
        raise Rejection("data.control", f"is {control}, which takes more than a record: use `{command}`", data)
    _check_facts(line, organization, has_document)


def build_decision(
    settings: Settings,
    control: str,
    body: dict[str, Any],
    organization: str,
    reason: str | None = None,
    actor: str | None = None,
    effective_at: str | None = None,
) -> bytes:
    """Build the event of a decision that is in force from now on or another moment. TallyError names what is wrong."""
    now = datetime.now(UTC).isoformat()
    data = {"control": control, "actor": actor, "reason": reason, "body": body}
    event = {
        "id": str(uuid.uuid4()),
        "source": SOURCE,
        "type": "tallystick.control.v1",
        "time": now,
        "data": data | {"effective_at": effective_at or now, "recorded_at": now},
    }
    try:
        return open_intake(settings.home, organization, ("control",)).accept_event(event).line
    except Rejection as refused:
        raise _not_possible(control, refused) from None


def _check_facts(line: bytes, organization: str, has_document: Callable[[str], bool]) -> None:
    """Check what a schema cannot: a budget of the whole organization names it, and a document comes before the decision
    that adopts it."""
    data = decode(line)["data"]
    body = data["body"]
    if body.get("dimension") == ORGANIZATION and body["scope"] != organization:
        raise Rejection("data.body.scope", f"must be {organization!r}, since the scope is the whole organization", data)
    if "document" in body and not has_document(body["document"]):
        raise Rejection("data.body.document", "is the hash of no document on the log: store the document first", data)


def _not_possible(control: str, refused: Rejection) -> TallyError:
    field = refused.field.removeprefix("data.")
    return TallyError(f"{control} is not possible: {field}: {refused.reason}")
