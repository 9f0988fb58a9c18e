"""The registry's records on the log: read those of an organization, and append what a plan says."""

import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from ingest.controls.append import SOURCE
from ingest.controls.registry.declaration import Item, Seal, has_registry, read_declaration, read_sections
from ingest.controls.registry.families import (
    CONTROL_TYPES,
    PERSON_FIELDS,
    State,
    Subject,
    read_statement,
    write_statement,
)
from ingest.controls.registry.history import Registry, Step, build_registry
from ingest.controls.registry.plan import Change, plan_changes
from ingest.intake.batch import Batch, Envelope
from ingest.intake.intake import Intake, decode, open_intake, pseudonym_secret_name
from ledger.errors import TallyError
from ledger.home.locks import locked
from ledger.home.persons import Persons
from ledger.home.secrets import read_secret
from ledger.log import Log, Position, Record, fold_offset, partition_of, records
from ledger.log.topics import DECISIONS, EVENTS
from ledger.organizations import check_organization
from ledger.settings import Settings
from tallystick import ControlEvent
from tallystick.vocabulary.base import EARLIEST

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MARKERS = tuple(f'"{control_type}"'.encode() for control_type in CONTROL_TYPES)
_MAX_AHEAD = timedelta(seconds=300)
"""An event whose time is further ahead of the log is held, and says nothing yet (docs/rules.md, R4)."""


class Plan(NamedTuple):
    """Changes that a file makes of an organization's registry at a time, and the names of persons behind their
    pseudonyms."""

    organization: str
    time: datetime
    changes: list[Change]
    names: dict[str, str]


def read_file(path: Path) -> str:
    """Read a file that declares the registry. TallyError where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        detail = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise TallyError(f"cannot read {path}: {detail}: name a YAML file that declares the registry") from None


def plan_file(log: Log | None, settings: Settings, path: Path, organization: str) -> Plan:
    """Plan the changes that a file makes. Nothing is written, nor the names of persons; ``log`` is None where there is
    none yet."""
    check_organization(organization, "TALLY_ORGANIZATION", "have a registry")
    names: dict[str, str] = {}
    key = read_secret(settings.home, pseudonym_secret_name(organization)) or ""
    items = _read_items(read_file(path), path, organization, Intake(key, ("control",), names.__setitem__))
    registry = read_registry(log, organization) if log is not None else {}
    now = datetime.now(UTC)
    changes = [] if items is None else plan_changes(registry, items, now)
    return Plan(organization, now, changes, find_person_names(settings, organization, changes) | names)


def apply_file(
    log: Log, settings: Settings, path: Path, organization: str, reason: str | None, actor: str | None = None
) -> tuple[Plan, list[Position]]:
    """Append the records that a file makes, and return them with the position of each. The same file again appends
    nothing. TallyError where the file is wrong; then nothing is appended."""
    check_organization(organization, "TALLY_ORGANIZATION", "have a registry")
    intake = open_intake(settings.home, organization, ("control",))
    text = read_file(path)
    items = _read_items(text, path, organization, Intake(intake.key, ("control",)))
    with locked(settings.run / "registry.lock"):
        now = datetime.now(UTC)
        changes = [] if items is None else plan_changes(read_registry(log, organization), items, now)
        _read_items(text, path, organization, intake)  # all of it is possible, so the names of persons are kept
        lines = [
            intake.accept_event(
                _build_event(change.subject, change.after, change.effective_at, now, reason, actor)
            ).line
            for change in changes
        ]
        positions = append_lines(Batch(log, Envelope(organization, "control", "local"), intake.key), lines)
    return Plan(organization, now, changes, find_person_names(settings, organization, changes)), positions


def read_registry(log: Log, organization: str) -> Registry:
    """Read the registry of an organization as it is known now, from what the folds derived and from what stands on the
    log behind that."""
    partition = partition_of(organization)
    identities: set[tuple[str, str]] = set()
    statements: list[tuple[Subject, Step]] = []
    for record in records(log, DECISIONS, partition):
        statements += _read_decisions(record, organization, identities)
    for record in records(log, EVENTS, partition, fold_offset(log, partition)):
        if record.organization == organization:
            statements += _read_controls(record, identities)
    return build_registry(statements)


def find_person_names(settings: Settings, organization: str, changes: list[Change]) -> dict[str, str]:
    """Return the names behind the pseudonyms of these changes, as far as the home knows them."""
    states = [state or {} for change in changes for state in (change.before, change.after)]
    return read_names(settings, organization, states)


def read_names(settings: Settings, organization: str, states: Sequence[State]) -> dict[str, str]:
    """Return the names behind the pseudonyms of persons in these states, as far as the home knows them."""
    pseudonyms = {state[field] for state in states for field in PERSON_FIELDS if state.get(field)}
    persons = Persons(settings.home)
    try:
        return persons.find_names(organization, sorted(pseudonyms))
    finally:
        persons.close()


def _read_items(text: str, path: Path, organization: str, intake: Intake) -> list[Item] | None:
    if not has_registry(read_sections(text, str(path))):
        return None
    return read_declaration(text, str(path), organization, _make_seal(intake))


def _make_seal(intake: Intake) -> Seal:
    def seal(subject: Subject, state: State) -> tuple[Subject, State]:
        event = _build_event(subject, state, EARLIEST, EARLIEST, None)
        body = decode(intake.accept_event(event).line)["data"]["body"]
        sealed, sealed_state = read_statement(event["data"]["control"], body)
        return sealed, sealed_state or {}

    return seal


def _build_event(
    subject: Subject,
    state: State | None,
    effective_at: datetime,
    now: datetime,
    reason: str | None,
    actor: str | None = None,
) -> dict[str, Any]:
    control_type, body = write_statement(subject, state)
    return {
        "id": str(uuid.uuid4()), "source": SOURCE, "type": "tallystick.control.v1", "time": now.isoformat(),
        "data": {
            "control": control_type, "actor": actor, "reason": reason, "effective_at": effective_at.isoformat(),
            "recorded_at": now.isoformat(), "body": body,
        },
    }  # fmt: skip


def append_lines(batch: Batch, lines: list[bytes]) -> list[Position]:
    """Append the lines, in as few records as may be: up to 500 lines are on the log whole, or not at all."""
    positions: list[Position] = []

    def flush() -> None:
        count = len(batch.lines)
        record = batch.append()
        if record is not None:
            positions.extend(Position(record.partition, record.offset, index) for index in range(count))

    for line in lines:
        if not batch.has_room_for(line):
            flush()
        batch.add(line)
    flush()
    return positions


def _read_decisions(
    record: Record, organization: str, identities: set[tuple[str, str]]
) -> Iterator[tuple[Subject, Step]]:
    """Yield what the folds passed on of the registry."""
    if not _has_marker(record.value):
        return
    for line in record.value.split(b"\n"):
        decision = decode(line)
        if decision["organization"] == organization and decision.get("control_type") in CONTROL_TYPES:
            identities.add((decision["event_source"], decision["event_id"]))
            subject, state = read_statement(decision["control_type"], decode(decision["body"]))
            yield subject, Step(_EPOCH + timedelta(microseconds=decision["effective_us"]), state)


def _read_controls(record: Record, identities: set[tuple[str, str]]) -> Iterator[tuple[Subject, Step]]:
    """Yield what a record of the log says of the registry that the folds have not read yet."""
    if not _has_marker(record.value):
        return
    now = _EPOCH + timedelta(milliseconds=record.time_ms)
    for line in filter(_has_marker, record.value.split(b"\n")):
        try:
            event = ControlEvent.model_validate_json(line)
        except ValidationError:
            continue
        data, identity = event.data, (event.source, event.id)
        if data.control not in CONTROL_TYPES or identity in identities:
            continue
        identities.add(identity)
        if event.time <= now + _MAX_AHEAD:
            subject, state = read_statement(data.control, decode(data.body.canonical()))
            yield subject, Step(data.effective_at or event.time, state)


def _has_marker(value: bytes) -> bool:
    return any(marker in value for marker in _MARKERS)
