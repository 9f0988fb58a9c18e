"""The page Call: one event by identity or position, with its entries, its session and its record on the log."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import streamlit as st

from dashboards.components import call_table, pager
from dashboards.components.format import count, exact
from dashboards.components.html import Column, Html, draw_facts, draw_note, draw_table, format_time, link, mono
from dashboards.components.unknown_usage import describe_call, describe_greatest
from dashboards.pages.call import queries
from dashboards.pages.call.queries import EventIdentity
from dashboards.sources import log as logbook
from dashboards.sources import persons
from dashboards.sources.warehouse import Row, guard_page
from dashboards.spelling import escape_json
from ledger.log import Position

MAX_SESSION_CALLS = 50
OUTCOMES = {
    "duplicate": "Duplicate: this event had arrived before and was counted then.",
    "conflict": "Conflict: an earlier event has the same identity and other content. This one is not counted.",
    "quarantined": "Quarantined: this event was accepted, but is kept out of the ledger.",
    "held": "Held: the time of this event lies ahead. It is counted when that time comes.",
}
TIER_BASES = {
    "event": "by the input tokens of the call",
    "stated": "as the source states it",
    "mean": "by the input tokens per call of the aggregate",
    "assumed": "assumed to be the base: the source names neither the number of calls nor a tier",
}
"""What chose the tier of a tiered price."""


CORRECTIONS = {
    "reversal": "Reversed: a correction took this call out of the ledger. Its sums are zero.",
    "replacement": "Replaced: a correction counts in place of this call. Its sums are zero.",
    "acceptance": "Replaced: a conflict was accepted in place of this call. Its sums are zero.",
    "revision": "Revised: this call came again with a greater revision, which counts in its place. Its sums are zero.",
}


@guard_page
def page() -> None:
    query = st.query_params
    arrivals, position = _find_arrivals(
        query.get("position"), query.get("source"), query.get("id"), query.get("organization")
    )
    if position is None:
        _show_missing(bool(query))
        return
    event = queries.find_event(position)
    if event is None and logbook.read_event(position) is None:
        _show_missing(has_query=True)
        return
    call = queries.find_call(position)
    _show_title(event, call, position)
    if call is not None:
        _show_entries(call, position)
    payload = _show_record(position)
    if payload:
        st.subheader("Event data", anchor=False)
        data = payload.get("data", {})
        record = logbook.read_record(position)
        draw_facts([*_flatten(data), *persons.list_names(record.organization if record else "", data)])
    if call is not None and call["session"]:
        _show_session(call)
    if len(arrivals) > 1:
        _show_same_identity(arrivals, position)


def _find_arrivals(
    position: str | None, source: str | None, id: str | None, organization: str | None
) -> tuple[list[Row], Position | None]:
    if position is not None:
        return [], queries.parse_position(position)
    if source is None or id is None:
        return [], None
    arrivals = queries.list_arrivals(EventIdentity(organization or "", source, id))
    return arrivals, _read_position(arrivals[0]) if arrivals else None


def _show_missing(has_query: bool) -> None:
    if has_query:
        st.info("The ledger has no event with this identity. It may not have arrived yet, or the link is incomplete.")
    else:
        st.info("This page shows one call. Open one from the overview.")
    st.html(f'<div class="tally">{link("Overview", "overview", {})}</div>')


def _show_title(event: Row | None, call: Row | None, position: Position) -> None:
    identity = event["event_id"] if event else "-".join(map(str, position))
    st.header("Call" if event is None or event["kind"] == "inference" else event["kind"].capitalize(), anchor=False)
    draw_note(identity or "without identity")
    if event is not None and event["outcome"] in OUTCOMES:
        st.warning(OUTCOMES[event["outcome"]])
        first = f"{position.partition}-{event['first_offset']}-{event['first_index']}"
        first_link = link(first, "call", {"position": first}) if event["first_offset"] is not None else None
        has_amount = event["kind"] == "inference" and event["outcome"] == "quarantined"
        cost = describe_greatest(event["greatest_unpriced_cost"], event["currency"] or "") if has_amount else None
        draw_facts(
            [
                ("Reason", event["reason"]),
                ("Detail", event["detail"]),
                ("May cost, in no total", cost),
                ("First event", first_link),
                ("Held until", _format_held_until(event)),
                ("What to do", _describe_remedy(event)),
            ]
        )
    if call is None:
        return
    if call["corrected_by"]:
        st.warning(CORRECTIONS[call["corrected_by"]])
    properties = (call[name] for name in ("team", "feature", "agent", "provider", "model", "status"))
    draw_note(" · ".join([f"{call['occurred_at']:%Y-%m-%d %H:%M:%S.%f} UTC", *filter(None, properties)]))
    with st.container(horizontal=True, key="headline"):
        st.metric("Spend", call_table.format_spend(call), border=True)
        st.metric("Tokens", _format_tokens(call), border=True)
        if call["calls"] > 1:
            st.metric("Calls", count(call["calls"]), border=True, help="Calls that this aggregate stands for")
        if call["latency_ms"] is not None:
            st.metric("Latency", f"{call['latency_ms']:,} ms", border=True)
    if unknown := describe_call(call):
        sentence, bound = unknown
        st.warning(sentence, icon=":material/warning:")
        draw_facts([("May cost, in no total", bound), ("Reason", call["unpriced_reason"])])


def _format_held_until(event: Row) -> str | None:
    if event["outcome"] != "held":
        return None
    return f"{event['occurred_at'] - timedelta(seconds=300):%Y-%m-%d %H:%M:%S} UTC"


def _describe_remedy(event: Row) -> str | None:
    """Return the command that counts the event after all; None where there is none."""
    if event["kind"] != "inference":
        return None
    command = f"tally correct {event['event_source']}/{event['event_id']} --reason …"
    if event["outcome"] == "conflict":
        return f"To count it in place of the first: {command} --accept {event['log_offset']}:{event['event_index']}"
    if event["outcome"] == "held" or event["reason"] in ("token_totals_mismatch", "processing_error"):
        return f"To count it now: {command} --release"
    return None


def _format_tokens(call: Row) -> str:
    """Format the tokens of a call's entries, or those that its source tells of usage that is not known."""
    if call["pricing"] == "unknown" and not call["tokens"]:
        return count(call["unknown_tokens"]) if call["unknown_tokens"] else "unknown"
    return count(call["tokens"])


def _show_entries(call: Row, position: Position) -> None:
    st.subheader("Entries", anchor=False)
    rows = queries.list_entries(position)
    if not rows:
        is_free = call["pricing"] == "free"
        reason = "The call used nothing" if is_free else "The usage of the call is not known"
        st.caption(f"{reason}, so it has no entries.")
        return
    currency = call["currency"] or ""
    columns = [
        Column("Class"), Column("Quantity", "right"), Column("Unit price", "right"), Column("List cost", "right"),
        Column("Contracted cost", "right wide"), Column("Effective cost", "right wide"), Column("Billed cost", "right"),
    ]  # fmt: skip
    costs = ("unit_price", "list_cost", "contracted_cost", "effective_cost", "billed_cost")
    cells: list[tuple[Any, ...]] = [
        (row["class"], int(row["quantity"]), *(exact(row[name], currency) for name in costs)) for row in rows
    ]
    total = [exact(call[name], currency) for name in costs[1:]]
    cells.append((Html("<b>Sum</b>"), None, None, *(Html(f"<b>{figure}</b>") for figure in total)))
    draw_table(columns, cells)
    priced_row = next((row for row in rows if row["price_id"] or row["contract_id"]), None)
    if priced_row is not None:
        draw_facts(
            [
                ("Price", mono(priced_row["price_id"])),
                ("Price tier", TIER_BASES.get(call["tier_basis"])),
                ("Price document", mono(priced_row["price_document"])),
                ("Contract", mono(priced_row["contract_id"]) if priced_row["contract_id"] else None),
            ]
        )


def _show_record(position: Position) -> dict[str, Any]:
    st.subheader("On the log", anchor=False)
    record = logbook.read_record(position)
    if record is None:
        st.caption(f"The event is at {'-'.join(map(str, position))} of a log that is not in this home.")
        return {}
    appended = datetime.fromtimestamp(record.time_ms / 1000, UTC)
    draw_facts(
        [
            ("Topic", "tally.events"),
            ("Partition, offset, index", mono(", ".join(map(str, position)))),
            ("Appended", f"{appended:%Y-%m-%d %H:%M:%S.%f} UTC"),
            ("Record", mono(record.digest())),
            *((name.capitalize(), value) for name, value in record.headers.items()),
        ]
    )
    line = logbook.read_event(position)
    try:
        payload: dict[str, Any] = json.loads(line or "")
    except ValueError:
        st.code(escape_json(line or ""), language=None, wrap_lines=True)
        return {}
    with st.expander("Event as recorded"):
        st.code(escape_json(json.dumps(payload, indent=2, ensure_ascii=False)), language="json", wrap_lines=True)
    return payload if isinstance(payload.get("data"), dict) else {}


def _flatten(data: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for name, value in data.items():
        if isinstance(value, dict):
            pairs += _flatten(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            pairs.append((f"{prefix}{name}", json.dumps(value, ensure_ascii=False)))
        else:
            pairs.append((f"{prefix}{name}", f"{value:,}" if type(value) is int else str(value)))
    return pairs


def _show_session(call: Row) -> None:
    selection = pager.read_slice("session", MAX_SESSION_CALLS)
    rows = queries.list_session_calls(call["organization"], call["session"], selection)
    total = int(rows[0]["number"]) if rows else 0
    pager.draw_title("Session", "session", "Search calls", selection, total)
    draw_note(f"{call['session']}: its calls in order of event time.")
    call_table.draw_call_tree(rows, call)
    pager.draw_pages("session", selection, total)


def _show_same_identity(arrivals: list[Row], position: Position) -> None:
    st.subheader("Events with the same identity", anchor=False)
    draw_table(
        [Column("Accepted, UTC"), Column("Outcome"), Column("Position")],
        ((format_time(row["accepted_at"]), row["outcome"], _link_position(row, position)) for row in arrivals),
    )


def _link_position(row: Row, current: Position) -> Html:
    text = "-".join(map(str, _read_position(row)))
    return mono(text) if _read_position(row) == current else link(text, "call", {"position": text})


def _read_position(row: Row) -> Position:
    return Position(row["log_partition"], row["log_offset"], row["event_index"])
