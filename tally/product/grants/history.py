"""The records that made a grant what it is: who decided what, when and why."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from ledger.log import Position
from ledger.log.topics import DECISIONS
from streams.folds.chain import Derived
from tally.log.partition_copy import PartitionCopy
from tallystick.vocabulary.controls.grants import (
    GrantCreated,
    GrantDelegated,
    GrantExtended,
    GrantNarrowed,
    GrantRevoked,
)

ACTIONS = {
    GrantCreated.control_type: "created", GrantDelegated.control_type: "delegated",
    GrantNarrowed.control_type: "narrowed", GrantExtended.control_type: "extended",
    GrantRevoked.control_type: "revoked",
}  # fmt: skip
"""The word for each type of a record."""
APPLIED, INEFFECTIVE = "control.applied", "control.ineffective"
_decode = msgspec.json.Decoder().decode


class AppliedRecord(NamedTuple):
    """A record of a grant that has effect: when it was known, what it says, and who sent it, by which source and why.
    The person is the pseudonym of the log."""

    grant: str
    control_type: str
    position: Position
    time_us: int
    body: dict[str, Any]
    source: str
    actor: str | None
    reason: str | None

    @property
    def action(self) -> str:
        return ACTIONS[self.control_type]


def read_decisions(derived: Derived) -> Iterator[dict[str, Any]]:
    """Yield the decisions among what records cause."""
    for topic, record in derived:
        if topic is DECISIONS:
            yield from map(_decode, record.value.split(b"\n"))


def read_applied_records(derived: Derived, copy: PartitionCopy, organization: str) -> Iterator[AppliedRecord]:
    """Yield the records of an organization's grants that are applied among what records cause."""
    for decision in read_decisions(derived):
        if (
            decision["decision"] != APPLIED
            or decision["organization"] != organization
            or decision["control_type"] not in ACTIONS
        ):
            continue
        source, body = decision["event_source"], _decode(decision["body"])
        event = copy.find_event(organization, source, decision["event_id"])
        data = {} if event is None else event.data
        yield AppliedRecord(
            body["grant"], decision["control_type"],
            Position(decision["partition"], decision["offset"], decision["event_index"]), decision["known_us"], body,
            source, data.get("actor"), data.get("reason"),
        )  # fmt: skip
