"""Events that are held and will not be counted when their time comes (docs/rules.md, R4, R10 and R11).

The warehouse does not store the event that a correction names, so the corrections are read from the log."""

import json
from collections.abc import Sequence
from typing import NamedTuple

import streamlit as st

from dashboards.sources.log import read_event
from dashboards.sources.versions import (
    EventIdentity,
    Place,
    list_versions,
    order_position,
    read_first_position,
    read_identity,
    read_position,
)
from dashboards.sources.warehouse import Row, ask, home
from ledger.log import Position

MAX_CORRECTIONS = 5_000
"""Corrections that are read for the events of one page, the newest first."""


class Withdrawal(NamedTuple):
    """The reason for which an event is not counted when its time comes: ``reversal`` or ``replacement`` by a
    correction, ``revision`` or ``acceptance`` of another line of its identity; and the position of what caused it."""

    cause: str
    position: Position


class _Correction(NamedTuple):
    action: str
    source: str
    id: str


def find_withdrawals(rows: Sequence[Row]) -> dict[Position, Withdrawal]:
    """Find what took events out of force while they were held, by their positions. Only inferences can be."""
    inferences = {read_position(row): read_identity(row) for row in rows if row["kind"] == "inference"}
    if not inferences:
        return {}
    withdrawals: dict[Position, Withdrawal] = {}
    versions = list_versions(list(inferences.values()))
    corrections = _list_corrections(inferences)
    for position, identity in inferences.items():
        place = order_position(position)
        later_versions = [version for version in versions[identity] if version.place > place]
        later_corrections = [
            (correction.action, line)
            for applied, line, owner, correction in corrections
            if applied > place and EventIdentity(owner, correction.source, correction.id) == identity
        ]
        if later_versions:
            version = later_versions[-1]
            withdrawals[position] = Withdrawal("acceptance" if version.is_accepted else "revision", version.position)
        elif later_corrections:
            withdrawals[position] = Withdrawal(*later_corrections[-1])
    return withdrawals


def _list_corrections(
    inferences: dict[Position, EventIdentity],
) -> list[tuple[Place, Position, str, _Correction]]:
    """List the reversals and replacements that had an effect, in the order in which they applied: their place, the
    position of their line, and their organization."""
    organizations = sorted({identity.organization for identity in inferences.values()})
    rows = ask(
        "select log_partition, log_offset, event_index, organization, event_source, event_id, released_from"
        " from analytics.fct_outcomes where kind = 'correction' and outcome = 'counted'"
        " and organization in {organizations:Array(String)}"
        " and (log_offset >= {first_offset:UInt64} or released_from != '')"
        " order by log_offset desc, event_index desc limit {max_rows:UInt32}",
        organizations=organizations,
        first_offset=min(position.offset for position in inferences),
        max_rows=MAX_CORRECTIONS,
    )
    if not rows:
        return []
    ineffective, releases = _find_ineffective(organizations), _find_releases(organizations)
    corrections = []
    for row in rows:
        position = read_position(row)
        correction = None if read_identity(row) in ineffective else _read_correction(position)
        if correction is not None and correction.action in ("reversal", "replacement"):
            place = order_position(releases.get(position, position))
            corrections.append((place, position, row["organization"], correction))
    return sorted(corrections)


def _find_ineffective(organizations: Sequence[str]) -> set[EventIdentity]:
    """Return the identities of corrections without effect."""
    rows = ask(
        "select organization, event_source, event_id from analytics.fct_decisions"
        " where decision = 'correction.ineffective' and organization in {organizations:Array(String)}",
        organizations=list(organizations),
    )
    return {read_identity(row) for row in rows}


def _find_releases(organizations: Sequence[str]) -> dict[Position, Position]:
    """Return the positions at which held corrections applied, by those of their lines."""
    rows = ask(
        "select log_partition, log_offset, event_index, first_offset, first_index from analytics.fct_amendments"
        " where kind = 'correction' and amendment = 'release' and organization in {organizations:Array(String)}",
        organizations=list(organizations),
    )
    return {read_first_position(row): read_position(row) for row in rows}


def _read_correction(position: Position) -> _Correction | None:
    """Read a correction from the log; None where the log does not have it."""
    try:
        return _parse_correction(str(home().resolve()), position)
    except (LookupError, TypeError, ValueError):
        return None  # nothing is remembered: the log may be back soon


@st.cache_data(show_spinner=False, max_entries=2 * MAX_CORRECTIONS)
def _parse_correction(home: str, position: Position) -> _Correction:
    line = read_event(position)
    if line is None:
        raise LookupError(f"no event at {position}")
    data = json.loads(line)["data"]
    return _Correction(data["action"], data["of"]["source"], data["of"]["id"])
