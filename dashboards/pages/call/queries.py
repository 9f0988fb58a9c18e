"""Queries of the page Call: one event, what amends it, its entries, and the calls of its session."""

from collections.abc import Sequence
from typing import Any

from dashboards.slices import Slice, build_limit, build_search
from dashboards.sources.versions import EventIdentity, order_position, read_first_position, read_position
from dashboards.sources.warehouse import Row, ask
from ledger.log import PARTITIONS, Position
from ledger.token_classes import CLASSES

MAX_AMENDMENTS = 50
_OUTCOME = (
    "select log_partition, log_offset, event_index, accepted_at, occurred_at, organization, event_source, event_id,"
    " kind, outcome, released_from, reason, detail, first_offset, first_index, currency, greatest_unpriced_cost"
    " from analytics.fct_outcomes"
)
_AT_POSITION = (
    "log_partition = {partition:UInt16} and log_offset = {offset:UInt64} and event_index = {event_index:UInt32}"
)


def parse_position(text: str) -> Position | None:
    """Read the position in a link, ``partition-offset-index``; None where it is none."""
    parts = text.split("-")
    if len(parts) != 3 or not all(part.isdecimal() and part.isascii() and len(part) < 16 for part in parts):
        return None
    partition, offset, index = map(int, parts)
    return Position(partition, offset, index) if partition < PARTITIONS and index < 2**32 else None


def find_event(position: Position) -> Row | None:
    """Return the event at a position with its outcome; None where there is none."""
    rows = ask(f"{_OUTCOME} where {_AT_POSITION}", **_build_parameters(position))
    return rows[0] if rows else None


def find_released_position(position: Position) -> Position | None:
    """Return the position of the event that was released at a position; None where none was. The first of several: a
    correction that fell due comes before the event that it releases."""
    rows = ask(
        "select log_partition, first_offset, first_index from analytics.fct_amendments"
        f" where {_AT_POSITION} and amendment = 'release' order by seq limit 1",
        **_build_parameters(position),
    )
    return read_first_position(rows[0]) if rows else None


def find_call_line(position: Position) -> Position:
    """Return the position of the line on the log that says what a call at a position used: that of the event which was
    released there, of the correction that replaces it, or the position itself."""
    rows = ask(
        "select log_partition, amendment, kind, first_offset, first_index from analytics.fct_amendments"
        f" where {_AT_POSITION} and amendment = 'release' order by kind = 'inference' desc limit 1",
        **_build_parameters(position),
    )
    return read_first_position(rows[0]) if rows else position


def list_arrivals(identity: EventIdentity) -> list[Row]:
    """List the events with an identity, in the order of the log."""
    return ask(
        f"{_OUTCOME} where event_source = {{source:String}} and event_id = {{id:String}}"
        " and (empty({organization:String}) or organization = {organization:String})"
        " order by accepted_at, log_partition, log_offset, event_index limit 20",
        **identity._asdict(),
    )


def list_amendments(event: Row) -> list[Row]:
    """List the releases, replacements and reversals that name an event, in the order of the folds: the newest ones."""
    rows = ask(
        "select log_partition, log_offset, event_index, seq, accepted_at, kind, amendment, reason"
        " from analytics.fct_amendments where organization = {organization:String}"
        " and log_partition = {partition:UInt16} and first_offset = {offset:UInt64}"
        " and first_index = {event_index:UInt32} and amendment in ('release', 'replacement', 'reversal')"
        " order by log_offset desc, reinterpretAsInt32(event_index) desc, seq desc limit {max_rows:UInt32}",
        organization=event["organization"], max_rows=MAX_AMENDMENTS, **_build_parameters(read_position(event)),
    )  # fmt: skip
    return rows[::-1]


def list_calls(positions: Sequence[Position]) -> list[Row]:
    """List the counted inferences at positions of one partition, in the order of the folds."""
    parameters: dict[str, Any] = {"partition": positions[0].partition}
    conditions = []
    for number, position in enumerate(positions):
        conditions.append(f"(log_offset = {{offset{number}:UInt64}} and event_index = {{index{number}:UInt32}})")
        parameters |= {f"offset{number}": position.offset, f"index{number}": position.event_index}
    rows = ask(
        f"select * from analytics.fct_calls where log_partition = {{partition:UInt16}} and ({' or '.join(conditions)})",
        **parameters,
    )
    return sorted(rows, key=lambda row: order_position(read_position(row)))


def list_entries(calls: Sequence[Row]) -> list[Row]:
    """List the entries of calls, those that take them back and those that restate them, in the order of the folds and
    of the token classes. All have the organization and the time of their call, which spares reading any other."""
    times = [row["occurred_at"] for row in calls]
    rows = ask(
        "select * from analytics.fct_entries where organization = {organization:String}"
        " and occurred_at >= {first:DateTime64(6, 'UTC')} and occurred_at <= {last:DateTime64(6, 'UTC')}"
        " and log_partition = {partition:UInt16} and coalesce(reversed_offset, log_offset) in {offsets:Array(UInt64)}",
        organization=calls[0]["organization"], partition=calls[0]["log_partition"],
        first=_format_time(min(times)), last=_format_time(max(times)),
        offsets=sorted({row["log_offset"] for row in calls}),
    )  # fmt: skip
    positions = {read_position(row) for row in calls}
    return sorted((row for row in rows if _read_call_position(row) in positions), key=_order_entry)


def list_namesakes(organization: str, id: str) -> list[Row]:
    """List the calls of an organization with an id, counted or not, the newest first."""
    return ask(
        "select event_source, event_id, organization from analytics.fct_outcomes"
        " where organization = {organization:String} and event_id = {id:String} and kind = 'inference'"
        " order by occurred_at desc limit 20",
        organization=organization, id=id,
    )  # fmt: skip


def list_session_calls(organization: str, session_id: str, rows: Slice) -> list[Row]:
    """List calls of a session, in order of event time; ``number`` in each row counts all that match."""
    return ask(
        "select *, count() over () as number from analytics.fct_calls where organization = {organization:String}"
        f" and session = {{session:String}} and {build_search(('model', 'agent', 'status', 'event_id'))}"
        f" order by occurred_at, log_offset, event_index {build_limit()}",
        organization=organization, session=session_id, **rows.build_parameters(),
    )  # fmt: skip


def _build_parameters(position: Position) -> dict[str, int]:
    return {"partition": position.partition, "offset": position.offset, "event_index": position.event_index}


def _format_time(time: Any) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S.%f}"


def _read_call_position(row: Row) -> Position:
    """Return the position of the call that an entry belongs to."""
    if row["reversed_offset"] is None:
        return read_position(row)
    return Position(row["log_partition"], row["reversed_offset"], row["reversed_index"])


def _order_entry(row: Row) -> tuple[object, ...]:
    is_added = row["outcome"] != "reversal"  # at one position an entry is taken back before another takes its place
    return (*order_position(read_position(row)), is_added, CLASSES.index(row["class"]))
