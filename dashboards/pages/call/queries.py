"""The questions of the call page: one event, its entries, and the calls beside it."""

from typing import NamedTuple

from dashboards.sources.warehouse import Row, ask
from ledger.log import PARTITIONS, Position

_OUTCOME = (
    "select log_partition, log_offset, event_index, accepted_at, occurred_at, organization, event_source, event_id,"
    " kind, outcome, reason, detail, first_offset, first_index from analytics.fct_outcomes"
)


class EventIdentity(NamedTuple):
    organization: str  # empty where the link does not say: then any
    source: str
    id: str


def parse_position(text: str) -> Position | None:
    """The position that a link names, ``partition-offset-index``; None where it names none."""
    parts = text.split("-")
    if len(parts) != 3 or not all(part.isdecimal() and part.isascii() and len(part) < 16 for part in parts):
        return None
    partition, offset, index = map(int, parts)
    return Position(partition, offset, index) if partition < PARTITIONS and index < 2**32 else None


def find_event(position: Position) -> Row | None:
    """What stands at a position, and what became of it."""
    rows = ask(
        f"{_OUTCOME} where log_partition = {{partition:UInt16}} and log_offset = {{offset:UInt64}}"
        " and event_index = {event_index:UInt32}",
        partition=position.partition, offset=position.offset, event_index=position.event_index,
    )  # fmt: skip
    return rows[0] if rows else None


def list_arrivals(identity: EventIdentity) -> list[Row]:
    """Everything that arrived under an identity, in the order of the log: the first one is the event."""
    return ask(
        f"{_OUTCOME} where event_source = {{source:String}} and event_id = {{id:String}}"
        " and (empty({organization:String}) or organization = {organization:String})"
        " order by accepted_at, log_partition, log_offset, event_index limit 20",
        **identity._asdict(),
    )


def find_call(position: Position) -> Row | None:
    """The counted inference at a position."""
    rows = ask(
        "select * from analytics.fct_calls where log_partition = {partition:UInt16}"
        " and log_offset = {offset:UInt64} and event_index = {event_index:UInt32}",
        partition=position.partition, offset=position.offset, event_index=position.event_index,
    )  # fmt: skip
    return rows[0] if rows else None


def list_entries(position: Position) -> list[Row]:
    """Its entries, one a class."""
    return ask(
        "select * from analytics.fct_entries where log_partition = {partition:UInt16}"
        " and log_offset = {offset:UInt64} and event_index = {event_index:UInt32} order by class",
        partition=position.partition, offset=position.offset, event_index=position.event_index,
    )  # fmt: skip


def list_session_calls(organization: str, session_id: str, max_rows: int = 50) -> list[Row]:
    """The first calls of a session, in the order of their own time."""
    return ask(
        "select * from analytics.fct_calls where organization = {organization:String}"
        " and session = {session:String} order by occurred_at, log_offset, event_index limit {most:UInt32}",
        organization=organization, session=session_id, most=max_rows,
    )  # fmt: skip
