"""Try and append the records of a plan of grants, and read what the folds answer to each."""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from ingest.controls.registry.records import append_lines
from ingest.intake.batch import Batch, Envelope
from ingest.intake.intake import Intake, open_intake, pseudonym_secret_name
from ledger.home.locks import locked
from ledger.home.secrets import read_secret
from ledger.log import Log, Position, partition_of
from ledger.log.sqlite.log import EmbeddedLog
from ledger.log.topics import DECISIONS
from ledger.organizations import check_organization
from ledger.settings import Settings
from tally.log.partition_copy import PartitionCopy
from tally.processes.join import needing
from tally.processes.service import STREAMS
from tally.product.catch_up import wait_for_folds
from tally.product.grants.answer import find_answer
from tally.product.grants.declaration import DeclaredGrant, build_event, seal_grants
from tally.product.grants.history import APPLIED, INEFFECTIVE, read_decisions
from tally.product.grants.persons import find_names
from tally.product.grants.plan import APPLY_SOURCE, PlannedRecord, plan_grants
from tally.product.grants.usage import fold_grants


class RecordOutcome(NamedTuple):
    """A record of a plan, and why it has no effect; ``position`` is absent of one that is only tried."""

    record: PlannedRecord
    obstacle: str | None
    position: Position | None = None


class GrantOutcome(NamedTuple):
    """The records of a plan with what became of each, living grants that the file neither names nor owns, and the names
    of persons behind their pseudonyms."""

    records: list[RecordOutcome]
    foreign: list[str]
    names: Mapping[str, str]

    @property
    def ineffective(self) -> list[RecordOutcome]:
        return [outcome for outcome in self.records if outcome.obstacle is not None]


def try_grants(log: Log | None, settings: Settings, declared: Sequence[DeclaredGrant]) -> GrantOutcome:
    """Plan the records that make the grants what a file declares, and fold them behind a copy of the log, so that each
    has the answer that it would get. Nothing is written; ``log`` is None where there is none yet."""
    organization = settings.organization
    check_organization(organization, "TALLY_ORGANIZATION", "have grants")
    names: dict[str, str] = {}
    key = read_secret(settings.home, pseudonym_secret_name(organization)) or ""
    intake = Intake(key, ("control",), names.__setitem__)
    sealed = seal_grants(declared, intake, organization)
    with _open_or_empty(log) as source, fold_grants(source, organization) as (grants, copy):
        plan = plan_grants(grants, sealed)
        lines = _seal_records(plan.records, intake, None, None)
        obstacles = _fold_lines(copy, organization, lines)
    outcomes = [RecordOutcome(record, obstacles.get(index)) for index, record in enumerate(plan.records)]
    return GrantOutcome(outcomes, plan.foreign, names)


def apply_grants(
    log: Log, settings: Settings, declared: Sequence[DeclaredGrant], reason: str | None, actor: str | None
) -> GrantOutcome:
    """Append the records that make the grants what a file declares, wait until they are folded, and return the answer
    to each."""
    organization = settings.organization
    intake = open_intake(settings.home, organization, ("control",))
    with locked(settings.run / "registry.lock"):
        sealed = seal_grants(declared, Intake(intake.key, ("control",)), organization)
        with fold_grants(log, organization) as (grants, _):
            plan = plan_grants(grants, sealed)
        if not plan.records:
            return GrantOutcome([], plan.foreign, {})
        seal_grants(declared, intake, organization)  # all of it is possible, so the names of persons are kept
        start = log.end(DECISIONS, partition_of(organization))
        lines = _seal_records(plan.records, intake, reason, actor)
        positions = append_lines(Batch(log, Envelope(organization, "control", "local"), intake.key), lines)
        with needing(settings, [STREAMS]) as running:
            wait_for_folds(log, running)
    outcomes = [
        RecordOutcome(record, find_answer(log, position, start).reason, position)
        for record, position in zip(plan.records, positions, strict=True)
    ]
    names = find_names(settings, (record.body.get("scope") for record in plan.records))
    return GrantOutcome(outcomes, plan.foreign, names)


@contextmanager
def _open_or_empty(log: Log | None) -> Iterator[Log]:
    """Give the log, or where there is none an empty one that goes at the end."""
    if log is not None:
        yield log
        return
    with TemporaryDirectory() as folder:
        yield EmbeddedLog(Path(folder) / "home")


def _seal_records(
    records: Sequence[PlannedRecord], intake: Intake, reason: str | None, actor: str | None
) -> list[bytes]:
    now = datetime.now(UTC)
    return [
        intake.accept_event(
            build_event(
                record.control_type,
                record.body,
                now,
                _choose_reason(record, reason),
                actor,
                str(uuid.uuid4()),
                APPLY_SOURCE,
            )
        ).line
        for record in records
    ]


def _choose_reason(record: PlannedRecord, reason: str | None) -> str | None:
    """Choose why: the file says why a grant is given, and who applies it why it changes."""
    return (record.reason or reason) if record.action == "create" else (reason or record.reason)


def _fold_lines(copy: PartitionCopy, organization: str, lines: Sequence[bytes]) -> dict[int, str]:
    """Fold lines behind a copy of the log, and return why those that have no effect have none, by number."""
    if not lines:
        return {}
    draft = Envelope(organization, "control", "local").make_draft(b"\n".join(lines))
    decisions = [
        decision for decision in read_decisions(copy.append(draft)) if decision["decision"] in (APPLIED, INEFFECTIVE)
    ]
    return {
        decision["event_index"]: decision["reason"] for decision in decisions if decision["decision"] == INEFFECTIVE
    }
