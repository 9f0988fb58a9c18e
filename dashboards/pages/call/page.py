"""Call: one event by its identity or position, its entries, its neighbours, and where it stands on the log."""

import json
from datetime import UTC, datetime
from typing import Any

import streamlit as st

from dashboards.components import call_table
from dashboards.components.format import count, exact
from dashboards.components.html import Column, Html, facts, link, moment, mono, note, table
from dashboards.pages.call import queries
from dashboards.pages.call.queries import Identity
from dashboards.sources import log as logbook
from dashboards.sources import persons
from dashboards.sources.warehouse import Row, guarded
from dashboards.spelling import escape_json
from ledger.log import Position

OUTCOMES = {
    "duplicate": "This is a duplicate: the same event had arrived before, and is counted there.",
    "conflict": "This is in conflict with an earlier event of the same identity. It is not counted.",
    "quarantined": "This is quarantined: it was accepted, and is kept out of the ledger.",
}


@guarded
def page() -> None:
    asked = st.query_params
    arrived, position = _find(asked.get("position"), asked.get("source"), asked.get("id"), asked.get("organization"))
    if position is None:
        _missing(bool(asked))
        return
    event = queries.at(position)
    if event is None and logbook.event(position) is None:
        _missing(asked=True)
        return
    counted = queries.call(position)
    _title(event, counted, position)
    if counted is not None:
        _entries(counted, position)
    said = _on_the_log(position)
    if said:
        st.subheader("What it says", anchor=False)
        data = said.get("data", {})
        record = logbook.record(position)
        facts([*_flat(data), *persons.known(record.organization if record else "", data)])
    if counted is not None and counted["session"]:
        _session(counted)
    if len(arrived) > 1:
        _same_identity(arrived, position)


def _find(
    position: str | None, source: str | None, id: str | None, organization: str | None
) -> tuple[list[Row], Position | None]:
    if position is not None:
        return [], queries.position(position)
    if source is None or id is None:
        return [], None
    arrived = queries.of(Identity(organization or "", source, id))
    return arrived, _position(arrived[0]) if arrived else None


def _missing(asked: bool) -> None:
    if asked:
        st.info("The ledger has no event of this identity. It may not have arrived yet, or the link was cut short.")
    else:
        st.info("This page shows one call. Follow a link to it from the overview.")
    st.html(f'<div class="tally">{link("To the overview", "./", {})}</div>')


def _title(event: Row | None, counted: Row | None, position: Position) -> None:
    identity = event["event_id"] if event else "-".join(map(str, position))
    st.header("Call" if event is None or event["kind"] == "inference" else event["kind"].capitalize(), anchor=False)
    note(identity or "without identity")
    if event is not None and event["outcome"] in OUTCOMES:
        st.warning(OUTCOMES[event["outcome"]])
        first = f"{position.partition}-{event['first_offset']}-{event['first_index']}"
        known = link(first, "call", {"position": first}) if event["first_offset"] is not None else None
        facts([("Reason", event["reason"]), ("Detail", event["detail"]), ("The first one", known)])
    if counted is None:
        return
    said = (counted[name] for name in ("team", "feature", "agent", "provider", "model", "status"))
    note(" · ".join([f"{counted['occurred_at']:%Y-%m-%d %H:%M:%S.%f} UTC", *filter(None, said)]))
    with st.container(horizontal=True, key="headline"):
        st.metric("Spend", call_table.spend(counted), border=True)
        st.metric("Tokens", count(counted["tokens"]), border=True)
        if counted["latency_ms"] is not None:
            st.metric("Latency", f"{counted['latency_ms']:,} ms", border=True)


def _entries(counted: Row, position: Position) -> None:
    st.subheader("Entries", anchor=False)
    rows = queries.entries(position)
    if not rows:
        st.caption("It used nothing that is counted, so it has no entries.")
        return
    currency = counted["currency"] or ""
    columns = [
        Column("Class"), Column("Quantity", "right"), Column("Unit price", "right"), Column("List cost", "right"),
        Column("Contracted", "right wide"), Column("Effective", "right wide"), Column("Billed cost", "right"),
    ]  # fmt: skip
    costs = ("unit_price", "list_cost", "contracted_cost", "effective_cost", "billed_cost")
    cells: list[tuple[Any, ...]] = [
        (row["class"], int(row["quantity"]), *(exact(row[name], currency) for name in costs)) for row in rows
    ]
    total = [exact(counted[name], currency) for name in costs[1:]]
    cells.append((Html("<b>Sum</b>"), None, None, *(Html(f"<b>{figure}</b>") for figure in total)))
    table(columns, cells)
    if counted["unpriced_reason"]:
        st.warning("Not everything has a price.", icon=":material/warning:")
        facts([("Reason", counted["unpriced_reason"])])
    priced = next((row for row in rows if row["price_id"]), None)
    if priced is not None:
        facts([("Price", mono(priced["price_id"])), ("Price document", mono(priced["price_document"]))])


def _on_the_log(position: Position) -> dict[str, Any]:
    st.subheader("On the log", anchor=False)
    record = logbook.record(position)
    if record is None:
        st.caption(f"It stands at {'-'.join(map(str, position))} of a log that is not in this home.")
        return {}
    appended = datetime.fromtimestamp(record.time_ms / 1000, UTC)
    facts(
        [
            ("Topic", "tally.events"),
            ("Partition, offset, index", mono(", ".join(map(str, position)))),
            ("Appended", f"{appended:%Y-%m-%d %H:%M:%S.%f} UTC"),
            ("Record", mono(record.digest())),
            *((name.capitalize(), value) for name, value in record.headers.items()),
        ]
    )
    line = logbook.event(position)
    try:
        said: dict[str, Any] = json.loads(line or "")
    except ValueError:
        st.code(escape_json(line or ""), language=None, wrap_lines=True)
        return {}
    with st.expander("The event as it stands there"):
        st.code(escape_json(json.dumps(said, indent=2, ensure_ascii=False)), language="json", wrap_lines=True)
    return said if isinstance(said.get("data"), dict) else {}


def _flat(data: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for name, value in data.items():
        if isinstance(value, dict):
            pairs += _flat(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            pairs.append((f"{prefix}{name}", json.dumps(value, ensure_ascii=False)))
        else:
            pairs.append((f"{prefix}{name}", f"{value:,}" if type(value) is int else str(value)))
    return pairs


def _session(counted: Row) -> None:
    st.subheader("Session", anchor=False)
    rows = queries.session(counted["organization"], counted["session"])
    note(f"{counted['session']}: its calls in the order of their own time.")
    call_table.tree(rows, counted)


def _same_identity(arrived: list[Row], position: Position) -> None:
    st.subheader("Arrived under the same identity", anchor=False)
    table(
        [Column("Accepted, UTC"), Column("Outcome"), Column("Position")],
        ((moment(row["accepted_at"]), row["outcome"], _place(row, position)) for row in arrived),
    )


def _place(row: Row, here: Position) -> Html:
    text = "-".join(map(str, _position(row)))
    return mono(text) if _position(row) == here else link(text, "call", {"position": text})


def _position(row: Row) -> Position:
    return Position(row["log_partition"], row["log_offset"], row["event_index"])
