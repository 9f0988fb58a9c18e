"""Explain the price of an event: the history of its entries, and each entry rated again by the code that rates.

An entry is rated as at its position: the log's control records before it are folded anew, and nothing is read from
stored state. So an entry that differs from its explanation is a defect, and is shown as one.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec.structs import replace

from ledger import outcomes
from ledger.log import Log, records
from ledger.log.documents import load_document
from ledger.log.topics import ENTRIES, EVENTS
from ledger.pricing.price_book import unpack_book
from streams.folds.amendments.corrections import build_corrected_event
from streams.folds.amendments.holds import hold_event
from streams.folds.call import Call
from streams.folds.chain import NOW, fold_record
from streams.folds.contracts.agreement import HISTORY
from streams.folds.entry import Documents, Entry, Originals, Rated
from streams.folds.event import EPOCH, Event, ParsedRecord, parse_line, parse_record
from streams.folds.identity import Identities
from streams.folds.prices.price_lookup import trace_offer
from streams.folds.rating import (
    ADOPTIONS,
    BOOKS,
    find_alias,
    find_books,
    find_call_agreement,
    negate_entry,
    open_book,
    rate_call,
    rate_quarantined,
    resolve_names,
)
from streams.folds.state import State
from streams.folds.unknown_usage import is_cache_hit
from streams.runtime import read_catalogues, read_originals
from tally.log.entry_lines import (
    FIRST_DUE_INDEX,
    find_event,
    find_recorded_position,
    read_original_position,
    read_position,
)
from tally.product.contracts.explanation import describe_contract
from tally.product.events.corrections import CorrectionOfEvent, find_corrections
from tally.product.events.description import describe_named_line, describe_state
from tally.product.events.history import EventHistory, find_event_history
from tally.product.price_description import describe_price
from tally.product.price_summary import summarize_history

_CONTROL = b"tallystick.control.v1"
_HELD = b'"%s"' % outcomes.HELD.encode()
_RATED_FIELDS = tuple(Rated.__struct_encode_fields__)
_NAME_FIELDS = (
    "provider", "model", "model_resolved", "service_tier", "speed", "geography", "context_tier", "payer",
    "response_cache", "cached_from", "usage_source", "calls", "period_s",
)  # fmt: skip
"""Fields of an event that the choice of its price or of its costs reads."""
_decode = msgspec.json.Decoder().decode
Facts = dict[str, Any]
Position = tuple[int, int]


def explain_event(log: Log, name: str, organization: str | None = None) -> Facts:
    """Explain the price of an event by its id, ``SOURCE/ID`` or position, of any organization or of one: its state, its
    lines and its corrections. TallyError where no event, or several, fit."""
    history = find_event_history(log, name, organization)
    organization, partition = history.organization, history.partition
    documents, originals = read_catalogues(log), read_originals(log, partition)
    state = replay_controls(log, partition, history.lines[-1]["offset"], documents, originals)
    explain = _Explainer(log, organization, state, documents, originals)
    steps = [explain.explain_line(line) for line in history.lines]
    corrections: list[CorrectionOfEvent] = []
    if history.source is not None and history.id is not None:
        corrections = find_corrections(log, partition, organization, history.source, history.id)
    facts: Facts = {
        "organization": organization, "source": history.source, "id": history.id, "partition": partition,
        "summary": summarize_history(steps, describe_state(history.lines, corrections)), "steps": steps,
        "corrections": [correction.as_json() for correction in corrections],
        "differs": any(step.get("differences") for step in steps),
    }  # fmt: skip
    if history.named is not None:
        facts["named"] = describe_named_line(history.named)
    if history.lines[0]["kind"] == "correction":
        facts |= _describe_correction(log, history)
    return facts


def _describe_correction(log: Log, history: EventHistory) -> Facts:
    """Name the event that a correction corrects, and describe what it changed; nothing of one that does not fit the
    vocabulary."""
    correction = find_event(log, read_position(history.lines[0]))
    target = None if correction is None else correction.data.get("of")
    if not isinstance(target, dict):
        return {"corrects": None}
    source, id = str(target.get("source")), str(target.get("id"))
    corrections = find_corrections(log, history.partition, history.organization, source, id)
    effects = [other.as_json() for other in corrections if (other.source, other.id) == (history.source, history.id)]
    return {"corrects": f"{source}/{id}"} | ({"correction": effects[0]} if effects else {})


def replay_controls(log: Log, partition: int, last_offset: int, documents: Documents, originals: Originals) -> State:
    """Return the state that a partition's control records leave, up to an offset.

    Held events of all other kinds fall due in it too, and change nothing: they take the index that they took."""
    state, identities = State(), Identities()
    held_positions = _find_held_positions(log, partition)
    for record in records(log, EVENTS, partition, 0, last_offset + 1):
        now_ms, due_us = max(state.get(NOW) or 0, record.time_ms), state.next_due()
        is_due = due_us is not None and due_us <= now_ms * 1000
        if _CONTROL not in record.value and not is_due and record.offset not in held_positions:
            state.put(NOW, now_ms)
            continue
        events = parse_record(record).events
        controls = [event for event in events if event.kind == "control"]
        # Restatements change entries alone, so they get no history here.
        fold_record(ParsedRecord(record, controls), state, identities, documents, originals, lambda *_: ())
        for event_index in held_positions.get(record.offset, ()):
            hold_event(events[event_index], record.offset, False, False, state)
        state.take_changes()
    return state


def _find_held_positions(log: Log, partition: int) -> dict[int, list[int]]:
    """Find the events that are held and are no control: the indices of each record, by its offset."""
    positions: dict[int, list[int]] = {}
    for record in records(log, ENTRIES, partition):
        if _HELD not in record.value:
            continue
        for line in record.value.split(b"\n"):
            content = _decode(line) if _HELD in line else {}
            if content.get("outcome") == outcomes.HELD and content["kind"] != "control":
                positions.setdefault(content["offset"], []).append(content["event_index"])
    return positions


class _Explainer:
    """Rates the lines of one partition again."""

    def __init__(self, log: Log, organization: str, state: State, documents: Documents, originals: Originals) -> None:
        self._log, self._organization, self._state = log, organization, state
        self._documents, self._originals = documents, originals
        self._events: dict[Position, Event] = {}
        self._rated: dict[Position, Position] = {}
        """The events of entries before, and the positions by whose books they were rated last, by position."""
        self._quarantined: set[Position] = set()

    def explain_line(self, content: Facts) -> Facts:
        """Explain one line: its outcome and, where it has an entry, its price."""
        step = {
            "position": str(read_position(content)),
            "accepted_at": _format_time(content["accepted_ms"] * 1000),
            "outcome": content["outcome"],
            "kind": content["kind"],
        }
        step |= {name: content[name] for name in ("reason", "detail") if name in content}
        if "original_offset" in content:
            step["names"] = str(read_original_position(content))
        if "time_us" in content:
            step["event_time"] = _format_time(content["time_us"])
        if "pricing" not in content:
            return step
        step["event"] = {name: content[name] for name in _NAME_FIELDS if name in content}
        step |= {name: content[name] for name in (*_RATED_FIELDS, "billing_month") if name in content}
        event, position = self._find_rated(content)
        if event is not None and event.call is not None:
            if is_cache_hit(event.call):
                step["answered_by"] = "gateway cache"
            step["books"] = self._ask_books(event, position)
            step["differences"] = _compare(content, self._rate(content, event, position))
            step |= self._trace_price(event, event.call, position)
            if "contract_id" in content:
                step["contract"] = self._describe_contract(content, event, event.call, position)
        if "price_id" in content:
            step["price"] = self._describe_price(content)
        return step

    def _find_rated(self, content: Facts) -> tuple[Event | None, Position]:
        """Return the event that a line's entry rates, and the position by whose books it was rated."""
        outcome, position = content["outcome"], (content["offset"], content["event_index"])
        original = content.get("original_offset", -1), content.get("original_index", -1)
        if outcome == outcomes.REVERSAL:
            return self._events.get(original), _order(self._rated.get(original, original))
        if outcome == outcomes.RESTATEMENT:
            self._rated[original] = position
            return self._events.get(original), _order(position)
        recorded = find_recorded_position(self._log, read_position(content))
        assert recorded is not None, "its line stands on tally.entries"
        event = self._parse(recorded[1:])
        if event.kind == "correction":
            event = build_corrected_event(event, self._parse(original))
        self._events[position] = event
        if outcome == outcomes.QUARANTINED:
            self._quarantined.add(position)
        return event, _order(position)

    def _parse(self, position: tuple[int, int]) -> Event:
        return parse_line(position[1], self._originals(*position), self._organization)

    def _rate(self, content: Facts, event: Event, position: Position) -> Entry:
        assert event.call is not None, "its entry was rated"
        is_own = content["outcome"] not in (outcomes.REVERSAL, outcomes.RESTATEMENT)
        names = ("offset", "event_index") if is_own else ("original_offset", "original_index")
        rate = rate_quarantined if tuple(content[name] for name in names) in self._quarantined else rate_call
        entry = rate(event, event.call, self._state, self._documents, position)
        return negate_entry(entry) if content["outcome"] == outcomes.REVERSAL else entry

    def _describe_contract(self, content: Facts, event: Event, call: Call, position: Position) -> Facts:
        agreement = find_call_agreement(event, call, self._state, self._documents, position)
        if agreement is None or agreement.contract_id != content["contract_id"]:
            return {}  # a difference, which the step names
        return describe_contract(agreement, call, content["lines"])

    def _ask_books(self, event: Event, position: tuple[int, int]) -> list[Facts]:
        """Rate the event by each book alone, in the order in which they are searched, and without a contract. Where a
        gateway's cache answered it, what it saved is rated."""
        assert event.call is not None, "its entry was rated"
        if is_cache_hit(event.call):
            event = replace(event, call=_ask_provider(event.call))
        key = (*HISTORY, event.organization)
        history = self._state.get(key)
        self._state.put(key, ())
        answers = self._rate_by_each_book(event, position)
        self._state.put(key, history)
        return answers

    def _rate_by_each_book(self, event: Event, position: Position) -> list[Facts]:
        answers = []
        for name, document in reversed(find_books(position, self._state)):
            rated = rate_by_books(event, [(name, document)], self._state, self._documents, position)
            answer = {"name": name, "document": document, "price_id": rated.get("price_id")}
            reason = rated.get("unpriced_reason")
            answers.append(answer | ({} if reason is None else {"reason": reason}))
        return answers

    def _trace_price(self, event: Event, call: Call, position: Position) -> Facts:
        """Describe the way from the names of an event to its price (docs/rules.md, R6); nothing where it finds none."""
        provider, models = resolve_names(call, self._state, position)
        books = [open_book(self._documents, document) for _, document in find_books(position, self._state)]
        trace = trace_offer(books, provider, models, event.time_us)
        if trace is None:
            return {}
        facts: Facts = {"name": trace.name, "step": trace.step.value, "spelling": trace.match.spelling}
        if find_alias(call, self._state, position) is not None:
            facts["alias"] = {"provider": provider, "model": trace.name}
        return {"way": facts | {"step_name": trace.step.name.lower(), "seller": trace.match.seller.id}}

    def _describe_price(self, content: Facts) -> Facts:
        document = content["price_document"]
        packed = load_document(self._log, document)
        assert packed is not None, "the event was rated by it"
        book = unpack_book(document, packed)
        return describe_price(book, content) | {"document": document, "book": book.name, "origin": book.origin}


def rate_by_books(
    event: Event,
    books: Sequence[tuple[str, str]],
    state: State,
    documents: Documents,
    position: tuple[int, int] | None = None,
) -> Facts:
    """Return what an inference would cost by these books, and by all else that holds at a position, as
    ``tally.entries`` would say; the state is unchanged."""
    assert event.call is not None, "an inference has a call"
    state.begin()
    try:
        state.put(BOOKS, tuple(books))
        state.put(ADOPTIONS, ())
        facts: Facts = _decode(rate_call(event, event.call, state, documents, position).rated)
    finally:
        state.undo()
    return facts


def _ask_provider(call: Call) -> Call:
    """Return a call that a gateway's cache answered as its provider would have answered it."""
    dimensions: Any = call.dimensions
    return replace(call, dimensions=replace(dimensions, response_cache=None, cached_from=None))


def _compare(content: Facts, entry: Entry) -> list[str]:
    """Name the fields in which an entry differs from what the log gives now. What commitments cover of a contract's
    calls follows from the calls before, and is not compared."""
    rated = _decode(entry.rated)
    return [name for name in _RATED_FIELDS if _drop_coverage(content, name) != _drop_coverage(rated, name)]


def _drop_coverage(facts: Facts, name: str) -> Any:
    """Return a field of an entry; of its lines under a contract, all but the costs that commitments change."""
    value = facts.get(name)
    if name != "lines" or "contract_id" not in facts or value is None:
        return value
    return [{key: cost for key, cost in line.items() if key not in ("effective_cost", "billed_cost")} for line in value]


def _order(position: Position) -> Position:
    """Return a position in the order in which events are folded: what fell due with a record comes first."""
    offset, event_index = position
    return offset, event_index - 2 * FIRST_DUE_INDEX if event_index >= FIRST_DUE_INDEX else event_index


def _format_time(time_us: int) -> str:
    time: datetime = EPOCH + timedelta(microseconds=time_us)
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")
