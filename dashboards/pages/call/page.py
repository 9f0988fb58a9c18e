"""The page Call: one event by identity or position, with its entries, its session and its record on the log."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import streamlit as st

from dashboards.components import call_table, pager
from dashboards.components.format import count, exact
from dashboards.components.html import Html, draw_facts, draw_note, link, mono
from dashboards.components.links import draw_tree_links
from dashboards.components.unknown_usage import describe_call, describe_greatest
from dashboards.pages.call import history as histories
from dashboards.pages.call import queries, tables
from dashboards.pages.call.cache_hit import CacheHit, read_cache_hit
from dashboards.pages.call.history import History
from dashboards.sources import log as logbook
from dashboards.sources import persons
from dashboards.sources.versions import EventIdentity, read_identity, read_position
from dashboards.sources.warehouse import Row, guard_page
from dashboards.spelling import escape_json
from ledger.log import Position

MAX_SESSION_CALLS = 50


@guard_page
def page() -> None:
    query = st.query_params
    position = _find_position(query.get("position"), query.get("source"), query.get("id"), query.get("organization"))
    if position is None:
        _show_missing(bool(query))
        return
    event = queries.find_event(position)
    if event is None and logbook.read_event(position) is None:
        _show_missing(has_query=True)
        return
    history = None if event is None else histories.load_history(event)
    call = None if history is None else history.call
    cache_hit = _find_cache_hit(call) if call is not None else None
    _show_title(history, position)
    if call is not None:
        _show_figures(call, cache_hit)
        draw_tree_links(call)
    if history is not None and call is not None:
        tables.draw_entries(history.calls, call, position, is_cache_hit=cache_hit is not None)
    payload = _show_record(position)
    if payload:
        st.subheader("Event data", anchor=False)
        data = payload.get("data", {})
        record = logbook.read_record(position)
        draw_facts([*_flatten(data), *persons.list_names(record.organization if record else "", data)])
    if call is not None and call["session"]:
        _show_session(call)
    if event is not None and event["event_id"]:
        arrivals = queries.list_arrivals(read_identity(event))
        if len(arrivals) > 1:
            tables.draw_same_identity(arrivals, position)


def _find_position(
    position: str | None, source: str | None, id: str | None, organization: str | None
) -> Position | None:
    """Find the line of the event that a link names: by its identity the one in force, by a position the one there, or
    the one that was released there."""
    if position is not None:
        named_position = queries.parse_position(position)
        if named_position is None or queries.find_event(named_position) is not None:
            return named_position
        return queries.find_released_position(named_position) or named_position
    if source is None or id is None:
        return None
    identity = EventIdentity(organization or "", source, id)
    return histories.find_subject(identity, queries.list_arrivals(identity))


def _show_missing(has_query: bool) -> None:
    if has_query:
        st.info("The ledger has no event with this identity. It may not have arrived yet, or the link is incomplete.")
    else:
        st.info("This page shows one call. Open one from the overview.")
    st.html(f'<div class="tally">{link("Overview", "overview", {})}</div>')


def _show_title(history: History | None, position: Position) -> None:
    event = None if history is None else history.event
    identity = event["event_id"] if event else "-".join(map(str, position))
    st.header("Call" if event is None or event["kind"] == "inference" else event["kind"].capitalize(), anchor=False)
    draw_note(identity or "without identity")
    if history is None or event is None:
        return
    notices = list(histories.describe(history))
    for sentence, is_warning in notices:
        (st.warning if is_warning else st.info)(sentence)
    corrected = _link_corrected(event, position)
    if notices or corrected:
        draw_facts([("Corrects", corrected), *(_list_facts(history) if notices else [])])


def _list_facts(history: History) -> list[tuple[str, str | Html | None]]:
    """List the facts about an event that is not simply counted."""
    event, release, withdrawal = history.event, history.release, history.withdrawal
    first = Position(event["log_partition"], event["first_offset"] or 0, event["first_index"] or 0)
    has_amount = event["kind"] == "inference" and event["outcome"] == "quarantined" and not history.bound_reversal
    cost = describe_greatest(event["greatest_unpriced_cost"], event["currency"] or "") if has_amount else None
    replacement, identity = history.replacement, read_identity(event)
    newer = {"source": identity.source, "id": identity.id, "organization": identity.organization}
    return [
        ("Outcome", event["outcome"]),
        ("Reason", event["reason"]),
        ("Detail", event["detail"]),
        ("May cost, in no total", cost),
        ("First event", None if event["first_offset"] is None else _link_position(first)),
        ("Held until", _format_held_until(history)),
        ("Released", None if release is None else _link_time(release)),
        ("Taken back by", _link_position(withdrawal.position) if withdrawal is not None else None),
        ("Counted instead", None if replacement is None else _link_time(replacement)),
        ("In force", link("the newer event", "call", newer) if history.has_newer_version else None),
        ("What to do", _describe_remedy(history)),
    ]


def _link_corrected(event: Row, position: Position) -> Html | None:
    """Return a link to the event that a correction names; None of any other event."""
    if event["kind"] != "correction":
        return None
    target = _read_data(position).get("of")
    source, id = (target.get("source"), target.get("id")) if isinstance(target, dict) else (None, None)
    if not isinstance(source, str) or not isinstance(id, str):
        return None
    return link(f"{source}/{id}", "call", {"source": source, "id": id, "organization": event["organization"]})


def _link_position(position: Position) -> Html:
    text = "-".join(map(str, position))
    return link(text, "call", {"position": text})


def _link_time(amendment: Row) -> Html:
    """Return the time of an amendment, and its position as a link."""
    return Html(f"{amendment['accepted_at']:%Y-%m-%d %H:%M:%S} UTC, at {_link_position(read_position(amendment))}")


def _find_cache_hit(call: Row) -> CacheHit | None:
    return read_cache_hit(call, _read_call_data(call)) if call["pricing"] == "free" else None


def _read_call_data(call: Row) -> dict[str, Any]:
    """Read the data of a call from the log, of a replacement that of the correction; empty where the log is away."""
    data = _read_data(queries.find_call_line(read_position(call)))
    replacement = data.get("replacement")
    return replacement if isinstance(replacement, dict) else data


def _read_data(position: Position) -> dict[str, Any]:
    try:
        data = json.loads(logbook.read_event(position) or "{}").get("data")
    except (AttributeError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _show_figures(call: Row, cache_hit: CacheHit | None) -> None:
    properties = (call[name] for name in ("team", "feature", "agent", "provider", "model", "status"))
    draw_note(" · ".join([f"{call['occurred_at']:%Y-%m-%d %H:%M:%S.%f} UTC", *filter(None, properties)]))
    if cache_hit is not None:
        st.info("A gateway's cache answered this call, so it cost nothing. No total includes its tokens.")
    with st.container(horizontal=True, key="headline"):
        st.metric("Spend", call_table.format_spend(call), border=True)
        if cache_hit is not None:
            _show_cache_figures(call, cache_hit)
        else:
            st.metric("Tokens", _format_tokens(call), border=True)
        if call["calls"] > 1:
            st.metric("Calls", count(call["calls"]), border=True, help="Calls that this aggregate stands for")
        if call["latency_ms"] is not None:
            st.metric("Latency", f"{call['latency_ms']:,} ms", border=True)
    if cache_hit is not None and cache_hit.cached_from is not None:
        draw_facts([("Answer of the call", _link_namesake(call, cache_hit.cached_from))])
    if unknown := describe_call(call):
        sentence, bound = unknown
        st.warning(sentence, icon=":material/warning:")
        draw_facts([("May cost, in no total", bound), ("Reason", call["unpriced_reason"])])


def _show_cache_figures(call: Row, cache_hit: CacheHit) -> None:
    saved = "not known" if call["saved_cost"] is None else exact(call["saved_cost"], call["currency"] or "")
    saved_help = "List cost that these tokens have without the cache; not known where a part of them has no price"
    st.metric("Saved", "–" if call["corrected_by"] else saved, border=True, help=saved_help)
    tokens = "unknown" if cache_hit.tokens is None else count(cache_hit.tokens)
    st.metric("Tokens", tokens, border=True, help="Tokens of the answer, as the source reports them; none is billed")


def _link_namesake(call: Row, id: str) -> Html:
    """Return a link to the call of an id: of the same source, where several have it."""
    rows = queries.list_namesakes(call["organization"], id)
    rows.sort(key=lambda row: row["event_source"] != call["event_source"])
    if not rows:
        return Html(f"{mono(id)}, which has not arrived")
    return link(mono(id), "call", call_table.build_link_parameters(rows[0]), rows[0]["event_source"])


def _format_held_until(history: History) -> str | None:
    if history.event["outcome"] != "held" or history.withdrawal is not None:
        return None
    return f"{history.event['occurred_at'] - timedelta(seconds=300):%Y-%m-%d %H:%M:%S} UTC"


def _describe_remedy(history: History) -> str | None:
    """Return the command that counts the event after all; None where there is none."""
    event = history.event
    if event["kind"] != "inference" or history.replacement is not None or history.has_newer_version:
        return None
    command = f"tally correct {event['event_source']}/{event['event_id']} --reason …"
    if history.withdrawal is not None or history.bound_reversal is not None:
        return f"To count it after all, put right: {command} --set FIELD=VALUE"
    if event["outcome"] == "conflict":
        return f"To count it in place of the first: {command} --accept {read_position(event)}"
    if event["outcome"] == "held":
        return f"To count it now: {command} --release"
    if event["outcome"] == "quarantined" and event["reason"] in ("token_totals_mismatch", "processing_error"):
        return f"To count it now: {command} --release"
    return None


def _format_tokens(call: Row) -> str:
    """Format the tokens of a call's entries, or those that its source tells of usage that is not known."""
    if call["pricing"] == "unknown" and not call["tokens"]:
        return count(call["unknown_tokens"]) if call["unknown_tokens"] else "unknown"
    return count(call["tokens"])


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
