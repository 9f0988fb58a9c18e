"""The lines of an identity that came into force, one after the other (docs/rules.md, R3, R10 and R11)."""

from collections.abc import Sequence
from typing import NamedTuple

from dashboards.sources.warehouse import Row, ask
from ledger.log import Position

MAX_LINES = 1_000
"""Lines in one answer, the newest first: an identity rarely has more than a few."""

Place = tuple[int, int]
"""Offset and index in the order of the folds: what fell due with a record comes before its own events."""


class EventIdentity(NamedTuple):
    """Organization, source and id. The organization is empty where a link names none: then any."""

    organization: str
    source: str
    id: str


class Version(NamedTuple):
    """A line that came into force for an identity, from a place on: its own, or that of its acceptance."""

    identity: EventIdentity
    position: Position
    place: Place
    is_accepted: bool


def read_position(row: Row) -> Position:
    """Return the position of a row on ``tally.events``."""
    return Position(row["log_partition"], row["log_offset"], row["event_index"])


def read_first_position(row: Row) -> Position:
    """Return the position that an amendment names."""
    return Position(row["log_partition"], row["first_offset"], row["first_index"])


def read_identity(row: Row) -> EventIdentity:
    """Return the identity of a row."""
    return EventIdentity(row["organization"], row["event_source"], row["event_id"])


def order_position(position: Position) -> Place:
    """Return the place of a position in the order of the folds. An index from 2^31 on is of what fell due."""
    index = position.event_index
    return position.offset, index - (1 << 32) if index >= 1 << 31 else index


def list_versions(identities: Sequence[EventIdentity]) -> dict[EventIdentity, list[Version]]:
    """List the lines that came into force for each identity, the one in force last."""
    ids = sorted({identity.id for identity in identities})
    lines = ask(
        "select log_partition, log_offset, event_index, organization, event_source, event_id, released_from"
        " from analytics.fct_outcomes where event_id in {ids:Array(String)}"
        " and outcome not in ('duplicate', 'conflict') and kind != 'unknown'"
        " order by log_offset desc, event_index desc limit {max_rows:UInt32}",
        ids=ids, max_rows=MAX_LINES,
    )  # fmt: skip
    acceptances = _find_acceptances(ids) if any(row["released_from"] == "conflict" for row in lines) else {}
    versions: dict[EventIdentity, list[Version]] = {identity: [] for identity in identities}
    for row in lines:
        identity, position = read_identity(row), read_position(row)
        if identity in versions:
            accepted = acceptances.get(position)
            place = order_position(position if accepted is None else accepted)
            versions[identity].append(Version(identity, position, place, accepted is not None))
    return {identity: sorted(lines, key=lambda version: version.place) for identity, lines in versions.items()}


def _find_acceptances(ids: Sequence[str]) -> dict[Position, Position]:
    """Return the positions at which lines in conflict were accepted, by those of the lines."""
    rows = ask(
        "select log_partition, log_offset, event_index, first_offset, first_index from analytics.fct_amendments"
        " where event_id in {ids:Array(String)} and amendment = 'release' and reason = 'conflict'",
        ids=list(ids),
    )
    return {read_first_position(row): read_position(row) for row in rows}
