"""A dry run of an import: files are read, accepted and rated as an import would, and nothing is written.

The events pass the intake and the folds, by the price books that are in force in the home (by the installed prices
where there is no home yet), under the contracts of the organization: their commitments are used as the log uses them.
Identities and events are kept in a temporary file of SQLite's, so memory does not grow with the files. Events that the
log has already are not looked up: an import counts those as duplicates.
"""

import secrets
import sqlite3
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from ingest.controls.contracts import find_contracts
from ingest.controls.models import list_aliases
from ingest.controls.platform_relay import find_adoptions
from ingest.files.importer import Options, Summary, import_files
from ingest.files.outcomes import Progress
from ingest.intake.intake import Intake, pseudonym_secret_name
from ledger import outcomes
from ledger.errors import TallyError
from ledger.home.secrets import read_secret
from ledger.log import Draft, Log, Record, partition_of
from ledger.log.sqlite.log import transaction
from ledger.log.topics import ENTRIES, EVENTS, Topic
from ledger.money import pico
from ledger.pricing.genai_prices import genai_prices
from ledger.pricing.price_book import pack_book
from ledger.settings import Settings
from streams.folds.contracts.agreement import HISTORY, open_contract
from streams.folds.contracts.coverage import COMMITTED, USED
from streams.folds.entry import Documents
from streams.folds.model_aliases import DECISIONS, IN_FORCE
from streams.folds.rating import BOOKS
from streams.folds.state import Key, State
from streams.partition_state import PartitionState
from streams.replay import open_catalogues
from streams.runtime import read_catalogues
from tally.log.partition_copy import PartitionCopy

MAX_SHOWN_EVENTS = 5
MAX_MODELS = 1_000
"""Models that are summed one by one; the others of a file are summed together."""
OTHER_MODELS = "(other models)"
CLAIM_TOLERANCE_PERCENT = 1
"""A claimed cost that differs by more is reported; programs round, and count in floats."""

_decode = msgspec.json.Decoder().decode


@dataclass
class RatedEvent:
    """An event as it would stand on the log, and what became of it. Costs are in pico: the contracted cost, and what is
    billed of it."""

    event: dict[str, Any]
    outcome: str
    reason: str | None
    pricing: str | None
    currency: str | None
    cost: int | None
    billed: int | None = None


@dataclass
class ModelTotals:
    """Sums of one model: events and the calls that they stand for, quantities by class, contracted and billed costs in
    pico by currency, quantities without a price, and tokens of unknown class, with the most in pico that both may cost
    by currency."""

    events: int = 0
    calls: int = 0
    quantities: Counter[str] = field(default_factory=Counter)
    costs: Counter[str] = field(default_factory=Counter)
    billed_costs: Counter[str] = field(default_factory=Counter)
    pricing: Counter[str] = field(default_factory=Counter)
    unpriced: Counter[str] = field(default_factory=Counter)
    unknown_tokens: int = 0
    greatest_unpriced_costs: Counter[str] = field(default_factory=Counter)


@dataclass
class ClaimTotals:
    """Claimed costs of one currency compared with the costs, in pico: how many were compared, how many differ by more
    than ``CLAIM_TOLERANCE_PERCENT``, the sums of both, and the event that differs most."""

    compared: int = 0
    differing: int = 0
    claimed: int = 0
    cost: int = 0
    largest: int = 0
    largest_id: str = ""


@dataclass
class Report:
    """What an import would do."""

    first_events: list[RatedEvent] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    """Reasons of the quarantined."""
    models: dict[str, ModelTotals] = field(default_factory=dict)
    claims: dict[str, ClaimTotals] = field(default_factory=dict)

    def add(self, event: bytes, line: dict[str, Any]) -> None:
        """Add a line of ``tally.entries`` that an event caused: its outcome, or an entry that it takes back or adds.

        The event is decoded where it is shown."""
        outcome = line["outcome"]
        parts = [part for part in line.get("lines", []) if part.get("contracted_cost") is not None]
        has_cost = bool(parts) or line.get("pricing") == "free"
        cost, billed = (
            sum(pico(part[name]) for part in parts) if has_cost else None for name in ("contracted_cost", "billed_cost")
        )
        if outcome in outcomes.OUTCOMES:
            self.outcomes[outcome] += 1
            if outcome == outcomes.QUARANTINED:
                self.reasons[line["reason"]] += 1
            if len(self.first_events) < MAX_SHOWN_EVENTS:
                rated = outcome, line.get("reason"), line.get("pricing"), line.get("currency"), cost, billed
                self.first_events.append(RatedEvent(_decode(event), *rated))
        if "lines" in line and outcome != outcomes.QUARANTINED:
            sign = -1 if outcome == outcomes.REVERSAL else 1
            self._add_totals(line, cost, billed, sign)
            if line["pricing"] == "priced" and "claimed_cost" in line:
                self._add_claim(line, cost or 0, sign)

    def _add_totals(self, line: dict[str, Any], cost: int | None, billed: int | None, sign: int) -> None:
        model = line.get("model_resolved") or line.get("model") or "(no model)"
        if model not in self.models and len(self.models) >= MAX_MODELS:
            model = OTHER_MODELS
        totals = self.models.setdefault(model, ModelTotals())
        totals.events += sign
        totals.calls += sign * line.get("calls", 1)
        totals.pricing[line["pricing"]] += sign
        totals.unknown_tokens += line.get("unknown_tokens") or 0
        for part in line["lines"]:
            totals.quantities[part["class"]] += part["quantity"]
            if part.get("contracted_cost") is None:
                totals.unpriced[part["class"]] += part["quantity"]
        if (currency := line.get("currency")) is not None:
            totals.costs[currency] += cost or 0
            totals.billed_costs[currency] += billed or 0
            totals.greatest_unpriced_costs[currency] += pico(line.get("greatest_unpriced_cost") or "0")

    def _add_claim(self, line: dict[str, Any], cost: int, sign: int) -> None:
        """Compare the claim of an entry with its cost; one that is taken back is compared no more."""
        currency = line["currency"]
        if line.get("claimed_currency", currency) != currency:
            return
        claims = self.claims.setdefault(currency, ClaimTotals())
        claim = pico(line["claimed_cost"])
        difference = abs(claim - abs(cost))
        claims.compared += sign
        claims.claimed += sign * claim
        claims.cost += cost
        if difference * 100 > CLAIM_TOLERANCE_PERCENT * abs(cost):
            claims.differing += sign
        if difference > claims.largest:
            claims.largest, claims.largest_id = difference, line["id"]


class _FoldingLog:
    """A stand-in for a log of one partition: it folds what is appended, and keeps it in a temporary file for
    revisions and corrections."""

    def __init__(
        self,
        db: sqlite3.Connection,
        documents: Documents,
        books: Sequence[tuple[str, str]],
        decided: dict[Key, object],
    ) -> None:
        self._db = db
        db.execute("CREATE TABLE appended (offset INTEGER PRIMARY KEY, value BLOB)")
        self._stored = PartitionState(db)
        self._documents = documents
        self._books = tuple(books)
        self._decided = decided
        self._states: dict[int, State] = {}
        self._ends: Counter[str] = Counter()
        self.report = Report()

    def append(self, topic: Topic, drafts: Sequence[Draft]) -> list[Record]:
        time_ms = int(time.time() * 1000)
        records = []
        for draft in drafts:
            records.append(Record(draft.partition, self._ends[topic.name], time_ms, *draft[1:]))
            self._ends[topic.name] += 1
        if topic is EVENTS:
            for record in records:
                self._fold(record)
        return records

    def _fold(self, record: Record) -> None:
        batch = self._stored.parse_batch([record])
        state = self._open_state(record.partition)
        derived, _, change = self._stored.fold_batch(batch, state, self._documents, self._read_line)
        with transaction(self._db):
            self._stored.apply(record.partition, change)
            self._db.execute("INSERT INTO appended VALUES (?, ?)", (record.offset, record.value))
        events = record.value.split(b"\n")
        for topic, outputs in derived:
            lines = map(_decode, outputs.value.split(b"\n")) if topic is ENTRIES else ()
            for line in lines:
                if line["outcome"] != "record":
                    # What fell due has an index behind those of the record, and is no event of it.
                    self.report.add(b"".join(events[line["event_index"] :][:1]), line)

    def _read_line(self, offset: int, event_index: int) -> bytes:
        ((value,),) = self._db.execute("SELECT value FROM appended WHERE offset = ?", (offset,))
        return bytes(value).split(b"\n")[event_index]

    def _open_state(self, partition: int) -> State:
        if partition not in self._states:
            self._states[partition] = self._stored.open_state(partition)
            self._states[partition].put(BOOKS, self._books)
            for key, value in self._decided.items():
                self._states[partition].put(key, value)
        return self._states[partition]


def run_dry(
    log: Log | None, settings: Settings, files: Sequence[Path], options: Options, progress: Progress
) -> tuple[Summary, Report]:
    """Read the files as an import would, and rate their events by the price books of ``log``; by the installed ones
    where there is none. TallyError where a file or an option is not possible."""
    if options.pace is not None:
        raise TallyError("--pace replays a trace into the log, and a dry run appends nothing: leave one of them out")
    documents, books = _find_books(log)
    name = pseudonym_secret_name(settings.organization)
    intake = Intake(read_secret(settings.home, name) or secrets.token_hex(24))
    with closing(sqlite3.connect("", isolation_level=None)) as db:
        decided = _find_contracts(log, settings.organization, documents) | _find_aliases(log)
        folding = _FoldingLog(db, documents, books, decided)
        summary = import_files(folding, settings, files, options, progress, intake)
    return summary, folding.report


def _find_aliases(log: Log | None) -> dict[Key, object]:
    """Return the state of the aliases in force, each decided before all that is imported."""
    aliases = list_aliases(log) if log is not None else []
    if not aliases:
        return {}
    by_name: dict[str, dict[str, tuple[str, str]]] = {}
    for alias in aliases:
        targets = by_name.setdefault(alias.name.lower(), {})
        targets[(alias.provider or "").lower()] = (alias.priced_provider, alias.priced_model)
    decisions = [
        (-1, index, name, provider, *target)
        for index, (name, provider, target) in enumerate(
            (name, provider, target) for name, targets in by_name.items() for provider, target in targets.items()
        )
    ]
    return {IN_FORCE: by_name, DECISIONS: tuple(decisions)}


def _find_contracts(log: Log | None, organization: str, documents: Documents) -> dict[Key, object]:
    """Return the state of the contracts in force, with what the log's entries use of their commitments."""
    signings = find_contracts(log, organization).values() if log is not None else ()
    if log is None or not signings:
        return {}
    history = tuple((signing.position[1], signing.position[2], signing.name, signing.document) for signing in signings)
    state: dict[Key, object] = {(*HISTORY, organization): history}
    if any(open_contract(documents, signing.document).contract.commitments for signing in signings):
        state |= {(*COMMITTED, organization): True} | _read_used_commitments(log, organization, documents)
    return state


def _read_used_commitments(log: Log, organization: str, documents: Documents) -> dict[Key, object]:
    """Fold the organization's partition again in a temporary file, and return what is used of its commitments."""
    partition = partition_of(organization)
    with closing(sqlite3.connect("", isolation_level=None)) as db:
        copy = PartitionCopy(db, log, partition, documents)
        for _ in copy.fold(log.end(EVENTS, partition)):
            pass
        prefix = (*USED, organization)
        rows = db.execute("SELECT key, value FROM state WHERE partition = ?", (partition,))
        used = ((tuple(_decode(key)), _decode(value)) for key, value in rows)
        return {key: amount for key, amount in used if key[: len(prefix)] == prefix}


def _find_books(log: Log | None) -> tuple[Documents, list[tuple[str, str]]]:
    """Return the price books in force by name, in the order of their first adoption, and their documents."""
    adoptions = {} if log is None else {adoption.name: adoption.document for adoption in find_adoptions(log)}
    if log is not None and adoptions:
        return read_catalogues(log), list(adoptions.items())
    book = genai_prices()
    document, packed = pack_book(book)
    return open_catalogues({document: packed}), [(book.name, document)]
