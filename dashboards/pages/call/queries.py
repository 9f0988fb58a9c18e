"""Queries of the page Call: one event, its entries, and the calls of its session."""

from typing import NamedTuple

from dashboards.slices import Slice, build_limit, build_search
from dashboards.sources.warehouse import Row, ask
from ledger.log import PARTITIONS, Position

_OUTCOME = (
    "select log_partition, log_offset, event_index, accepted_at, occurred_at, organization, event_source, event_id,"
    " kind, outcome, reason, detail, first_offset, first_index, currency, greatest_unpriced_cost"
    " from analytics.fct_outcomes"
)


class EventIdentity(NamedTuple):
    organization: str  # empty where the link names none: then any
    source: str
    id: str


def parse_position(text: str) -> Position | None:
    """Read the position in a link, ``partition-offset-index``; None where it is none."""
    parts = text.split("-")
    if len(parts) != 3 or not all(part.isdecimal() and part.isascii() and len(part) < 16 for part in parts):
        return None
    partition, offset, index = map(int, parts)
    return Position(partition, offset, index) if partition < PARTITIONS and index < 2**32 else None


def find_event(position: Position) -> Row | None:
    """Return the event at a position with its outcome; None where there is none."""
    rows = ask(
        f"{_OUTCOME} where log_partition = {{partition:UInt16}} and log_offset = {{offset:UInt64}}"
        " and event_index = {event_index:UInt32}",
        partition=position.partition, offset=position.offset, event_index=position.event_index,
    )  # fmt: skip
    return rows[0] if rows else None


def list_arrivals(identity: EventIdentity) -> list[Row]:
    """List the events with an identity, in the order of the log: the first one counts."""
    return ask(
        f"{_OUTCOME} where event_source = {{source:String}} and event_id = {{id:String}}"
        " and (empty({organization:String}) or organization = {organization:String})"
        " order by accepted_at, log_partition, log_offset, event_index limit 20",
        **identity._asdict(),
    )


def find_call(position: Position) -> Row | None:
    """Return the counted inference at a position; None where there is none."""
    rows = ask(
        "select * from analytics.fct_calls where log_partition = {partition:UInt16}"
        " and log_offset = {offset:UInt64} and event_index = {event_index:UInt32}",
        partition=position.partition, offset=position.offset, event_index=position.event_index,
    )  # fmt: skip
    return rows[0] if rows else None


def list_entries(position: Position) -> list[Row]:
    """List the entries of the call at a position, one for each token class, then those of its reversal."""
    return ask(
        "select * from analytics.fct_entries where log_partition = {partition:UInt16}"
        " and coalesce(reversed_offset, log_offset) = {offset:UInt64}"
        " and coalesce(reversed_index, event_index) = {event_index:UInt32} order by reversed_offset is not null, class",
        partition=position.partition, offset=position.offset, event_index=position.event_index,
    )  # fmt: skip


def list_session_calls(organization: str, session_id: str, rows: Slice) -> list[Row]:
    """List calls of a session, in order of event time; ``number`` in each row counts all that match."""
    return ask(
        "select *, count() over () as number from analytics.fct_calls where organization = {organization:String}"
        f" and session = {{session:String}} and {build_search(('model', 'agent', 'status', 'event_id'))}"
        f" order by occurred_at, log_offset, event_index {build_limit()}",
        organization=organization, session=session_id, **rows.build_parameters(),
    )  # fmt: skip
