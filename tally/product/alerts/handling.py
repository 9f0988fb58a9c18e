"""Append what a person did about an alert, and read what the folds answer."""

from typing import Any

from ingest.controls.append import append_control
from ledger.log import Log, partition_of
from ledger.log.topics import DECISIONS
from ledger.settings import Settings
from tally.processes.join import needing
from tally.processes.service import STREAMS
from tally.product.catch_up import wait_for_folds
from tally.product.grants.answer import Answer, find_answer


def append_handling(
    log: Log, settings: Settings, control_type: str, body: dict[str, Any], effective_at: str | None,
    reason: str | None, actor: str | None,
) -> Answer:  # fmt: skip
    """Append a record about alerts and wait until it is folded. TallyError where the vocabulary refuses it."""
    organization = settings.organization
    start = log.end(DECISIONS, partition_of(organization))
    position = append_control(
        log, settings, control_type, body, organization=organization, reason=reason, actor=actor,
        effective_at=effective_at,
    )  # fmt: skip
    with needing(settings, [STREAMS]) as running:
        wait_for_folds(log, running)
    return find_answer(log, position, start)
