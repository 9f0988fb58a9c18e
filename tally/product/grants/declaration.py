"""A grant as a file declares it, and as it would stand on the log."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from ingest.controls.append import SOURCE
from ingest.controls.registry.yaml_nodes import Place
from ingest.intake.intake import Intake, decode
from ingest.intake.rejection import Rejection
from streams.folds.grants.records import read_grant
from streams.folds.grants.tree import Grant
from tallystick.vocabulary.base import EARLIEST
from tallystick.vocabulary.controls.grants import GrantCreated

ORGANIZATION = "organization"
_FIELDS = {"scope": "scope", "dimension": "scope", "parent": "parent", "limits": "limits", "expires_at": "expires"}
"""The field of a file by that of a record, where their names are not the same or one is not there."""


class DeclaredGrant(NamedTuple):
    """A grant of a file: its place, the places of its fields, its record ``grant.created``, and why it is given."""

    place: Place
    fields: Mapping[str, Place]
    body: dict[str, Any]
    reason: str | None

    @property
    def name(self) -> str:
        return str(self.body["grant"])

    @property
    def parent(self) -> str | None:
        return self.body.get("parent")

    def read(self) -> Grant:
        """Return the grant as the folds would have it."""
        return read_grant(self.body, 0, None)

    def get_place(self, field: str) -> Place:
        """Return the place of a field, else that of the grant."""
        return self.fields.get(field, self.place)


def seal_grants(grants: Sequence[DeclaredGrant], intake: Intake, organization: str) -> list[DeclaredGrant]:
    """Bring grants into their form on the log: pseudonyms for persons, fingerprints for keys. TallyError names the
    place of what the vocabulary refuses."""
    return [grant._replace(body=_seal_body(grant, intake, organization)) for grant in grants]


def _seal_body(grant: DeclaredGrant, intake: Intake, organization: str) -> dict[str, Any]:
    if grant.body["dimension"] == ORGANIZATION and grant.body["scope"] != organization:
        raise grant.get_place("scope").make_error(
            f"is organization={grant.body['scope']}: write organization={organization}, the one that this file is of"
        )
    event = build_event(GrantCreated.control_type, grant.body, EARLIEST, None, None, "seal", SOURCE)
    try:
        body: dict[str, Any] = decode(intake.accept_event(event).line)["data"]["body"]
    except Rejection as refused:
        field = refused.field.removeprefix("data.body.").split(".")[0]
        place = grant.get_place(_FIELDS.get(field, field))
        raise place.make_error(f"{refused.field.removeprefix('data.body.')}: {refused.reason}") from None
    return body


def build_event(
    control_type: str, body: Mapping[str, Any], now: datetime, reason: str | None, actor: str | None, id: str,
    source: str,
) -> dict[str, Any]:  # fmt: skip
    """Build the event of a record of a grant that holds from its place on the log on."""
    time = now.astimezone(UTC).isoformat()
    data = {"control": control_type, "actor": actor, "reason": reason, "body": body}
    return {
        "id": id, "source": source, "type": "tallystick.control.v1", "time": time,
        "data": {**data, "effective_at": time, "recorded_at": time},
    }  # fmt: skip
