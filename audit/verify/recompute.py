"""Recompute the outcome of every event from the log alone (docs/rules.md, R1 to R16)."""

import heapq
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from audit.verify.contracts import Contracts, Owner, Position
from audit.verify.known_events import NO_ENTRY, KnownEvent, KnownEvents, hash_identity, hash_line
from audit.verify.pricing import (
    Aliases,
    Book,
    GreatestPrices,
    Rated,
    find_greatest_prices,
    negate,
    rate_quarantined,
)
from audit.verify.restatement import Periods, has_other_costs, is_reached, read_restatement
from audit.verify.schema_check import TOKEN_TOTALS_MISMATCH, find_quarantine_reason, is_valid, parse_event
from ledger import envelope, outcomes
from ledger.errors import LogDamaged
from ledger.inference_fields import MAX_COUNT
from ledger.log import Record
from ledger.pricing.contract import Contract
from tallystick.vocabulary.controls.contracts import ContractEnded, ContractSigned
from tallystick.vocabulary.controls.models import ModelAliased
from tallystick.vocabulary.controls.periods import PeriodClosed
from tallystick.vocabulary.controls.prices import PriceBookAdopted, PriceRestated

FACTS = ("inference", "observation", "correction", "unknown")
MAX_AHEAD = timedelta(seconds=300)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DUE_INDEX = 1 << 31
"""Events that fall due with a record have an index from here on, and come before its own."""


class JudgedLine(NamedTuple):
    """The outcome of one line. ``data`` and ``time`` are the event's; empty where the line is no event. What falls due
    with a record has an organization of its own, and may be a relay's."""

    event_index: int
    kind: str
    outcome: str
    reason: str | None = None
    source: str | None = None
    id: str | None = None
    time: datetime | None = None
    data: dict[str, Any] = {}  # noqa: RUF012  (never changed)
    rated: Rated | None = None
    original: tuple[int, int] | None = None
    organization: str | None = None  # where it is not that of the record
    billing_month: str | None = None  # where it is not that of the time
    is_relayed: bool | None = None
    is_in_windows: bool = True  # windows of budgets and grants hold its entry, if it has one


class EntryInForce(NamedTuple):
    """The call of an entry in force, the place where that stands, the position by whose prices it was rated, whether it
    is a bound in quarantine, and whether windows of budgets and grants hold it."""

    organization: str
    source: str
    id: str
    time: datetime
    data: dict[str, Any]
    place: Position
    rated_position: Position
    is_bound: bool
    is_in_windows: bool

    @property
    def owner(self) -> Owner:
        return self.organization, self.source, self.id


class Partition:
    """Judge one partition's records in order. Known events are kept on disk, so memory does not grow: in ``database``,
    or in a temporary file. ``read_line`` gives a line of the partition by offset and index: one before the record that
    is judged, or of it. ``read_records`` gives the records before it from an offset up to another."""

    def __init__(
        self,
        load: Callable[[str], Book | Contract],
        read_line: Callable[[int, int], bytes],
        read_records: Callable[[int, int], Iterable[Record]],
        database: sqlite3.Connection | None = None,
    ) -> None:
        self._load = load
        self._read_line = read_line
        self._read_records = read_records
        self._periods = Periods()
        self._adoptions: list[tuple[tuple[int, int], str, Book]] = []
        self._alias_decisions: list[tuple[tuple[int, int], dict[str, str]]] = []
        self._now = EPOCH
        database = database or sqlite3.connect("")  # a temporary file of SQLite's, gone with the connection
        self._known_events = KnownEvents(database)
        self._contracts = Contracts(database)
        self._held: list[tuple[datetime, Position, str, bool]] = []
        self._released: set[Position] = set()
        """Held lines that a correction counted before they fell due."""
        self._outdated: dict[bytes, set[bytes]] = {}
        """Contents in whose place a conflict was accepted, by identity."""

    def dump_state(self) -> dict[str, Any]:
        """Return what the partition knows beside its known events, as JSON."""
        return {
            "now": self._now.isoformat(),
            "adoptions": [(place, name, book.digest) for place, name, book in self._adoptions],
            "aliases": self._alias_decisions,
            "periods": self._periods.dump_state(),
            "held": [(time.isoformat(), *rest) for time, *rest in self._held],
            "released": list(self._released),
            "outdated": {identity.hex(): [content.hex() for content in contents]
                         for identity, contents in self._outdated.items()},
            "contracts": self._contracts.dump_state(),
        }  # fmt: skip

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from a state, beside the known events that belong to it."""
        self._now = datetime.fromisoformat(state["now"])
        self._adoptions = [
            (_read_position(place), name, self._load_book(digest)) for place, name, digest in state["adoptions"]
        ]
        self._alias_decisions = [(_read_position(place), body) for place, body in state["aliases"]]
        self._periods.load_state(state["periods"])
        self._held = [
            (datetime.fromisoformat(time), _read_position(position), owner, is_relayed)
            for time, position, owner, is_relayed in state["held"]
        ]
        self._released = {_read_position(position) for position in state["released"]}
        self._outdated = {
            bytes.fromhex(identity): {bytes.fromhex(content) for content in contents}
            for identity, contents in state["outdated"].items()
        }
        self._contracts.load_state(state["contracts"], self._load_contract)

    def judge(self, record: Record) -> Iterator[JudgedLine]:
        """Yield what falls due with the record, then every line of it, in order, each followed by what it takes back
        and puts in its place; those of a relay too, although they count nothing."""
        self._now = max(self._now, EPOCH + timedelta(milliseconds=record.time_ms))
        organization = record.organization
        is_relayed = envelope.RELAY_OF in record.headers
        due_index = DUE_INDEX
        while self._held and self._held[0][0] <= self._now + MAX_AHEAD:
            _, position, owner, was_relayed = heapq.heappop(self._held)
            if position not in self._released:
                for due in self._judge_due(position, owner, (record.offset, due_index)):
                    due = due._replace(organization=due.organization or owner, is_relayed=was_relayed)
                    yield self._bill(due, owner)
                due_index += 1
            self._released.discard(position)
        for event_index, line in enumerate(record.value.split(b"\n") if record.value else []):
            event = parse_event(line)
            if event is None:
                yield JudgedLine(event_index, "unknown", outcomes.QUARANTINED, "malformed")
                continue
            for judged in self._judge(event_index, line, event, organization, record.offset):
                if judged.outcome == outcomes.HELD:
                    heapq.heappush(
                        self._held, (event["moment"], (record.offset, event_index), organization, is_relayed)
                    )
                yield self._bill(judged, organization)

    def _bill(self, judged: JudgedLine, organization: str) -> JudgedLine:
        """Return a line with the month in which its entry is billed, if it has one."""
        if judged.rated is None or judged.time is None:
            return judged
        month = self._periods.find_billing_month(judged.organization or organization, judged.time)
        return judged._replace(billing_month=month)

    def _judge_due(self, position: Position, organization: str, place: Position) -> Iterator[JudgedLine]:
        """Yield the release of a held line that fell due at a place of the log, and what follows from it."""
        line = self._read_line(*position)
        event = parse_event(line)
        assert event is not None, "it was held"
        kind, time, data = event["kind"], event["moment"], event["data"]
        identity = hash_identity(organization, event["source"], event["id"])
        release = JudgedLine(
            place[1], kind, outcomes.RELEASE, outcomes.HELD, event["source"], event["id"], time, data, None, position
        )
        known_event = self._known_events.find(identity)
        assert known_event is not None, "a held line has an identity, or had it"
        if kind == "inference" and known_event.position == position and known_event.standing == "held":
            self._known_events.keep(identity, known_event.with_entry(position, place, "own"))
            release = release._replace(rated=self._rate(data, time, (organization, event["source"], event["id"])))
        yield release
        yield from self._apply(release, time, organization, position, place)

    def _judge(
        self, event_index: int, line: bytes, event: dict[str, Any], organization: str, offset: int
    ) -> Iterator[JudgedLine]:
        kind, time, data = event["kind"], event["moment"], event["data"]
        judged = JudgedLine(event_index, kind, outcomes.COUNTED, None, event["source"], event["id"], time, data)
        owner = organization, event["source"], event["id"]
        identity = hash_identity(organization, event["source"], event["id"])
        content, revision = hash_line(line), _read_revision(kind, data)
        former = self._known_events.find(identity)
        if former is not None:
            judged = judged._replace(original=former.position)
            if (repeated := _judge_repeat(judged, former, content, revision)) is not None:
                yield repeated
                return
        reason, is_ahead = find_quarantine_reason(kind, data), time > self._now + MAX_AHEAD
        is_held = reason is None and is_ahead
        has_entry = kind == "inference" and reason in (None, TOKEN_TOTALS_MISMATCH) and not is_held
        entry = (offset, event_index) if has_entry else NO_ENTRY
        standing = "held" if is_held else "own"
        if reason is not None:
            standing = "quarantined_ahead" if is_ahead else "quarantined"
        version = KnownEvent(content, offset, event_index, kind, revision, *entry, *entry, *entry, standing)
        self._known_events.keep(identity, version)
        reversals = []
        if former is not None:
            reversals = list(self._reverse(former, event_index, organization, outcomes.REVISION))
        if is_held:
            yield judged._replace(outcome=outcomes.HELD, reason="event_time_in_future")
        elif reason is not None:
            has_amount = kind == "inference" and is_valid(kind, data)
            rated = self.bound_cost(data, time) if has_amount else None
            yield judged._replace(
                outcome=outcomes.QUARANTINED, reason=reason, original=None, rated=rated, is_in_windows=not is_ahead
            )
        else:
            yield judged._replace(rated=self._rate(data, time, owner) if has_entry else None)
        yield from reversals
        if reason is None and not is_held:
            position = offset, event_index
            yield from self._apply(judged, time, organization, position, position)

    def _apply(
        self, judged: JudgedLine, time: datetime, organization: str, position: Position, place: Position
    ) -> Iterator[JudgedLine]:
        """Apply a correction or a control record that stands at a position, and takes effect at a place."""
        if judged.kind == "correction":
            yield from self._correct(judged, time, organization, position, place)
        if judged.kind == "control":
            yield from self._decide(judged, organization, position, place)

    def _decide(
        self, control: JudgedLine, organization: str, position: Position, place: Position
    ) -> Iterator[JudgedLine]:
        """Apply a control record, and yield what it takes back and puts in its place."""
        body = control.data["body"]
        match control.data["control"]:
            case PriceBookAdopted.control_type:
                self._adoptions.append((place, body["name"], self._load_book(body["document"])))
            case ContractSigned.control_type:
                contract = self._load_contract(body["document"])
                self._contracts.sign(organization, order_position(place), body["name"], body["document"], contract)
            case ContractEnded.control_type:
                self._contracts.end(organization, order_position(place), body["name"])
            case ModelAliased.control_type:
                self._alias_decisions.append((place, body))
            case PeriodClosed.control_type:
                self._periods.close(organization, body["month"], self._now)
            case PriceRestated.control_type:
                restatement = read_restatement(body, organization, position[0])
                if restatement is not None:
                    yield from self._restate(restatement, place)

    def _load_book(self, digest: str) -> Book:
        book = self._load(digest)
        if not isinstance(book, Book):
            raise LogDamaged(f"the document {digest} was adopted and is no price book: restore the log")
        return book

    def _load_contract(self, digest: str) -> Contract:
        contract = self._load(digest)
        if not isinstance(contract, Contract):
            raise LogDamaged(f"the document {digest} was signed and is no contract: restore the log")
        return contract

    def _restate(self, restatement: PriceRestated, place: Position) -> Iterator[JudgedLine]:
        """Yield each entry in force of the range that costs something else here: as it was, and as it is."""
        entries = list(self._find_reached(restatement))
        formers = [self._rate_entry(entry, entry.rated_position) for _, _, entry in entries]
        usages = [self._contracts.read_usage(entry.owner) for _, _, entry in entries]
        for _, _, entry in entries:
            self._contracts.release(entry.owner)
        for (identity, known_event, entry), former, usage in zip(entries, formers, usages, strict=True):
            restated = self._rate_entry(entry, None)
            if not has_other_costs(former, restated) and usage == self._contracts.read_usage(entry.owner):
                continue
            self._known_events.keep(identity, known_event._replace(rated_offset=place[0], rated_index=place[1]))
            judged = JudgedLine(
                place[1], "inference", outcomes.REVERSAL, outcomes.RESTATEMENT, entry.source, entry.id, entry.time,
                entry.data, negate(former), entry.place, entry.organization, is_in_windows=entry.is_in_windows,
            )  # fmt: skip
            yield judged
            yield judged._replace(outcome=outcomes.RESTATEMENT, reason=None, rated=restated)

    def _find_reached(self, restatement: PriceRestated) -> Iterator[tuple[bytes, KnownEvent, EntryInForce]]:
        """Yield each entry in force that a restatement reaches, with its identity."""
        for record in self._read_records(restatement.first_offset, restatement.end_offset):
            for event_index, line in enumerate(record.value.split(b"\n")):
                event = parse_event(line)
                if event is None or event["kind"] != "inference":
                    continue
                identity = hash_identity(record.organization, event["source"], event["id"])
                known_event = self._known_events.find(identity)
                if known_event is None or known_event.position != (record.offset, event_index):
                    continue
                entry = self._load_entry(known_event, record.organization)
                if entry is not None and is_reached(restatement, entry.data, entry.time):
                    yield identity, known_event, entry

    def _correct(
        self, correction: JudgedLine, time: datetime, organization: str, position: Position, place: Position
    ) -> Iterator[JudgedLine]:
        """Yield what a correction takes back and what it puts in its place."""
        target, action = correction.data["of"], correction.data["action"]
        identity = hash_identity(organization, target["source"], target["id"])
        known_event = self._known_events.find(identity)
        if known_event is None or known_event.kind != "inference":
            return
        if action == "reversal":
            if known_event.entry_offset >= 0 or known_event.standing == "held":
                yield from self._reverse(known_event, place[1], organization, action)
                self._known_events.keep(identity, known_event.with_entry(NO_ENTRY, NO_ENTRY, "corrected"))
            return
        if action == "replacement":
            yield from self._reverse(known_event, place[1], organization, action)
            self._known_events.keep(identity, known_event.with_entry(position, place, "corrected"))
            data, time = self._read_corrected(correction.data, time, known_event)
            assert correction.source is not None and correction.id is not None, "it has an identity"
            owner = organization, correction.source, correction.id
            yield correction._replace(
                kind="inference", outcome=outcomes.REPLACEMENT, reason=None, time=time, data=data,
                rated=self._rate(data, time, owner), original=known_event.position,
            )  # fmt: skip
            return
        yield from self._count_after_all(correction, known_event, identity, time, organization, position, place)

    def _count_after_all(
        self, correction: JudgedLine, known_event: KnownEvent, identity: bytes, time: datetime, organization: str,
        position: Position, place: Position,
    ) -> Iterator[JudgedLine]:  # fmt: skip
        """Yield the release of a held or quarantined event, or of a line in conflict that is accepted."""
        action = correction.data["action"]
        leaves = known_event.standing.removesuffix("_ahead") if action == "release" else outcomes.CONFLICT
        counted = known_event
        if action == "acceptance":
            line = self._find_conflict(correction.data["accepted"], organization, identity, known_event, position)
            if line is None:
                return
            self._outdated.setdefault(identity, set()).add(known_event.content)
            accepted = correction.data["accepted"]
            counted = known_event._replace(
                content=hash_line(line), offset=accepted["offset"], event_index=accepted["event_index"]
            )
        elif leaves not in (outcomes.HELD, outcomes.QUARANTINED) or not self._is_countable(known_event):
            return
        elif leaves == outcomes.HELD:
            self._released.add(known_event.position)
        yield from self._reverse(known_event, place[1], organization, action)
        self._known_events.keep(identity, counted.with_entry(position, place, "corrected"))
        event = parse_event(self._read_line(*counted.position))
        assert event is not None, "it has an identity"
        time = min(time, event["moment"])
        yield JudgedLine(
            place[1], "inference", outcomes.RELEASE, leaves, event["source"], event["id"], time, event["data"],
            self._rate(event["data"], time, (organization, event["source"], event["id"])), counted.position,
        )  # fmt: skip

    def _is_countable(self, known_event: KnownEvent) -> bool:
        event = parse_event(self._read_line(*known_event.position))
        return event is not None and is_valid("inference", event["data"])

    def _find_conflict(
        self,
        accepted: Mapping[str, int],
        organization: str,
        identity: bytes,
        known_event: KnownEvent,
        position: Position,
    ) -> bytes | None:
        """Return the line that an acceptance names, if it is in conflict with the version in force."""
        place = accepted["offset"], accepted["event_index"]
        if place >= position:
            return None
        try:
            line = self._read_line(*place)
        except LookupError:
            return None
        event = parse_event(line)
        if event is None or event["kind"] != "inference" or not is_valid("inference", event["data"]):
            return None
        content = hash_line(line)
        is_conflict = (
            hash_identity(organization, event["source"], event["id"]) == identity
            and content != known_event.content
            and content not in self._outdated.get(identity, ())
            and _read_revision("inference", event["data"]) == known_event.revision
        )
        return line if is_conflict else None

    def _reverse(
        self, known_event: KnownEvent, event_index: int, organization: str, reason: str
    ) -> Iterator[JudgedLine]:
        """Yield the entry in force with its signs changed, if there is one: its event is read and priced once more."""
        entry = self._load_entry(known_event, organization)
        if entry is None:
            return
        rated = negate(self._rate_entry(entry, entry.rated_position))
        self._contracts.release(entry.owner)
        yield JudgedLine(
            event_index, "inference", outcomes.REVERSAL, reason, entry.source, entry.id, entry.time, entry.data, rated,
            entry.place, is_in_windows=entry.is_in_windows,
        )  # fmt: skip

    def _load_entry(self, known_event: KnownEvent, organization: str) -> EntryInForce | None:
        """Read what the entry in force of an event follows from; None where there is no entry."""
        if known_event.entry_offset < 0:
            return None
        event = parse_event(self._read_line(known_event.entry_offset, known_event.entry_index))
        assert event is not None, "it has an entry"
        source, id, data, time = event["source"], event["id"], event["data"], event["moment"]
        if event["kind"] == "correction":
            original = parse_event(self._read_line(*known_event.position))
            assert original is not None, "it has an identity"
            if data["action"] != "replacement":
                source, id = original["source"], original["id"]
            data, time = self._read_corrected(data, time, known_event)
        is_bound = known_event.standing in ("quarantined", "quarantined_ahead")
        return EntryInForce(
            organization, source, id, time, data, known_event.place, known_event.rated_position, is_bound,
            known_event.standing != "quarantined_ahead",
        )  # fmt: skip

    def _read_corrected(
        self, correction: dict[str, Any], time: datetime, known_event: KnownEvent
    ) -> tuple[dict[str, Any], datetime]:
        """Return the data of the inference that a correction counts, and the earlier of its time and the original's."""
        original = parse_event(self._read_line(*known_event.position))
        assert original is not None, "it has an identity"
        data = correction["replacement"] if correction["action"] == "replacement" else original["data"]
        return data, min(time, original["moment"])

    def _rate_entry(self, entry: EntryInForce, position: Position | None) -> Rated:
        """Price the call of an entry, or bound its cost, now or at a position before."""
        if entry.is_bound:
            return self.bound_cost(entry.data, entry.time, position)
        return self._rate(entry.data, entry.time, entry.owner, position)

    def _rate(self, data: dict[str, Any], time: datetime, owner: Owner, position: Position | None = None) -> Rated:
        """Price a call of an event by the books and contracts in force, now or at a position before."""
        place = None if position is None else order_position(position)
        return self._contracts.rate(data, time, owner, place, self._list_books(position), self._read_aliases(position))

    def bound_cost(self, data: dict[str, Any], time: datetime, position: Position | None = None) -> Rated:
        """Bound the cost of a call by the books in force, now or at a position before."""
        return rate_quarantined(data, time, self._list_books(position), self._read_aliases(position))

    def bound_prices(
        self, data: Mapping[str, Any], time: datetime, position: Position | None = None
    ) -> GreatestPrices | None:
        """Return the greatest prices of calls by the books in force, now or at a position before; None where they have
        none."""
        return find_greatest_prices(data, time, self._list_books(position), self._read_aliases(position))

    def _list_books(self, position: Position | None) -> list[Book]:
        """Return the books in force, now or at a position before; the latest name first."""
        books: dict[str, Book] = {}
        for adopted_at, name, book in self._adoptions:
            if position is None or order_position(adopted_at) < order_position(position):
                books[name] = book  # a name keeps its place
        return list(reversed(books.values()))

    def _read_aliases(self, position: tuple[int, int] | None) -> Aliases:
        """Return the aliases of models in force, now or at a position before."""
        aliases: dict[tuple[str, str | None], tuple[str, str] | None] = {}
        for decided_at, body in self._alias_decisions:
            if position is None or order_position(decided_at) < order_position(position):
                provider = body["provider"].lower() if "provider" in body else None
                is_removal = "priced_model" not in body
                target = None if is_removal else (body["priced_provider"], body["priced_model"])
                aliases[body["name"].lower(), provider] = target
        return {names: target for names, target in aliases.items() if target is not None}


def _read_position(pair: list[int]) -> Position:
    offset, event_index = pair
    return offset, event_index


def order_position(position: Position) -> Position:
    """Return a position as it is ordered: what fell due with a record comes before its own lines."""
    offset, event_index = position
    return offset, event_index - 2 * DUE_INDEX if event_index >= DUE_INDEX else event_index


def _judge_repeat(judged: JudgedLine, known_event: KnownEvent, content: bytes, revision: int) -> JudgedLine | None:
    """Judge an event whose identity was seen before; None where it is a greater revision, which is judged as new."""
    if known_event.content == content:
        return judged._replace(outcome=outcomes.DUPLICATE)
    if judged.kind == "inference" and revision < known_event.revision:
        return judged._replace(outcome=outcomes.DUPLICATE, reason="superseded")
    if (judged.kind, known_event.kind) != ("inference", "inference") or revision == known_event.revision:
        return judged._replace(outcome=outcomes.CONFLICT, reason="content_mismatch")
    return None


def _read_revision(kind: str, data: dict[str, Any]) -> int:
    """Return the revision of an inference; 0 without one, or where it is no count."""
    revision = data.get("revision", 0) if kind == "inference" else 0
    return revision if type(revision) is int and 0 <= revision <= MAX_COUNT else 0
