"""Compare the prices in force with a price book: rate past calls by both.

The log is folded again in temporary files, an adoption and restatements behind it. So the answer is what adopting the
book and restating would give, to the last digit, and nothing is written.
"""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta

import msgspec

from ingest.controls.prices import build_adoption, build_restatement, find_adoption
from ingest.intake.batch import Envelope
from ledger import envelope, outcomes
from ledger.log import PARTITIONS, Draft, Log
from ledger.log.topics import DECISIONS, ENTRIES, EVENTS
from ledger.organizations import PLATFORM
from ledger.pricing.price_book import PriceBook, pack_book, unpack_book
from ledger.settings import Settings
from streams.folds import rating
from streams.folds.chain import Derived
from streams.folds.contracts import agreement as contracts
from streams.folds.entry import Documents
from streams.folds.event import EPOCH
from streams.folds.prices.price_lookup import Catalogue
from streams.runtime import read_catalogues
from tally.log.partition_copy import PartitionCopy
from tally.product.price_difference import Entry, PriceDifference
from tally.product.restatement import Progress, list_ranges

BLOCK_RECORDS = 256
"""Records of which the times of the calls are remembered together."""
_PLATFORM_ENVELOPE = Envelope(PLATFORM, "control", "local")
_PRICE_CONTROLS = frozenset({**rating.FOLD.on_control, **contracts.FOLD.on_control})
_LINE_OUTCOMES = (outcomes.REPLACEMENT, outcomes.RELEASE)
"""Outcomes of lines that restatements reach by the line that they name."""
_decode_entries = msgspec.json.Decoder(Entry).decode_lines
_decode_lines = msgspec.json.Decoder().decode_lines


def compare_prices(
    log: Log, settings: Settings, book: PriceBook, times: Mapping[str, str], progress: Progress = lambda count: None
) -> PriceDifference:
    """Find what adopting a book, and restating, would change of past calls. ``times`` has ``since`` and ``until``
    (excluded); without either, the calls are those of the month of the newest one, and of the month before."""
    document, packed = pack_book(book)
    adoption = build_adoption(settings, book, document)
    in_force = find_adoption(log, book.name)
    former = None if in_force is None else in_force.document
    difference = PriceDifference(document, former, former == document, times.get("since"), times.get("until"))
    if difference.is_in_force:
        return difference
    documents = _include_book(read_catalogues(log), Catalogue(document, unpack_book(document, packed)), document)
    with closing(sqlite3.connect("", isolation_level=None)) as db:
        comparison = _Comparison(db, log, settings, documents, difference)
        comparison.fold_log(progress)
        comparison.choose_range()
        for partition in range(PARTITIONS):
            comparison.compare_partition(partition, adoption, progress)
    return difference


def _include_book(documents: Documents, catalogue: Catalogue, document: str) -> Documents:
    """Return a lookup that knows a book which the log does not hold."""
    return lambda digest: catalogue if digest == document else documents(digest)


class _Comparison:
    """The copies of all partitions, and what was read of them."""

    def __init__(
        self, db: sqlite3.Connection, log: Log, settings: Settings, documents: Documents, difference: PriceDifference
    ) -> None:
        self._db, self._log, self._settings, self._documents = db, log, settings, documents
        self._difference = difference
        self._ends = log.ends(EVENTS)
        self._since_us, self._until_us = map(_convert_time, (difference.since, difference.until))
        self._newest_us: int | None = None
        self._spans: dict[tuple[int, int], tuple[int, int]] = {}
        """The earliest and the latest time of calls, by partition and block of records."""
        self._decision_offsets: dict[int, int] = {}
        """The offset of the last decision about prices, by partition: entries behind it have the prices in force."""

    def fold_log(self, progress: Progress) -> None:
        """Fold all of the log, and sum its entries in the range."""
        for partition, end in enumerate(self._ends):
            copy = self._open_copy(partition)
            for record_count, derived in copy.fold(end):
                self._read_derived(partition, derived)
                self._difference.as_of_ms = max(self._difference.as_of_ms, *(record.time_ms for _, record in derived))
                progress(record_count)
            if end:  # what fell due since then would do so before an adoption
                self._read_derived(partition, copy.append(_PLATFORM_ENVELOPE.make_draft(b"")))

    def choose_range(self) -> None:
        """Choose the months of the calls where nobody named times."""
        difference = self._difference
        if difference.since is None and difference.until is None and self._newest_us is not None:
            newest = (EPOCH + timedelta(microseconds=self._newest_us)).astimezone(UTC)
            since = (newest.replace(day=1) - timedelta(days=1)).replace(
                day=1, hour=0, minute=0, second=0, microsecond=0
            )
            difference.since = since.isoformat()
            self._since_us = _convert_time(difference.since)
            difference.recorded.drop_months_before(since.strftime("%Y-%m"))
        difference.before, difference.after = difference.recorded.copy(), difference.recorded.copy()

    def compare_partition(self, partition: int, adoption: bytes, progress: Progress) -> None:
        """Restate a partition by the prices in force, then by the book."""
        end = self._ends[partition]
        if not end:
            return
        copy, difference = self._open_copy(partition), self._difference
        ranges = [reached for reached in list_ranges(self._log, partition, end) if self._has_calls(partition, *reached)]
        for first_offset, end_offset in ranges:
            if first_offset <= self._decision_offsets.get(partition, -1):
                for pair in copy.restate(self._build_restatement(partition, first_offset, end_offset)):
                    removed, added = (msgspec.convert(line, Entry) for line in pair)
                    for totals in (difference.before, difference.after):
                        totals.add(removed)
                        totals.add(added)
                    difference.pending_calls += added.signed_calls
        copy.append(_PLATFORM_ENVELOPE.make_draft(adoption))
        for first_offset, end_offset in ranges:
            for former, restated in copy.restate(self._build_restatement(partition, first_offset, end_offset)):
                difference.add(former, restated)
            progress(end_offset - first_offset)

    def _open_copy(self, partition: int) -> PartitionCopy:
        return PartitionCopy(self._db, self._log, partition, self._documents)

    def _read_derived(self, partition: int, derived: Derived) -> None:
        for topic, record in derived:
            if topic is ENTRIES:
                for entry in _decode_entries(record.value):
                    self._read_entry(partition, entry)
            elif topic is DECISIONS and b'"control.applied"' in record.value:
                types = {decision.get("control_type") for decision in _decode_lines(record.value)}
                if types & _PRICE_CONTROLS:
                    self._decision_offsets[partition] = int(record.headers[envelope.CAUSE_OFFSET])

    def _read_entry(self, partition: int, entry: Entry) -> None:
        if entry.time_us is None:
            return
        offset = entry.offset
        if entry.outcome in _LINE_OUTCOMES and entry.original_offset is not None:
            offset = entry.original_offset
        block = partition, offset // BLOCK_RECORDS
        earliest_us, latest_us = self._spans.get(block, (entry.time_us, entry.time_us))
        self._spans[block] = min(earliest_us, entry.time_us), max(latest_us, entry.time_us)
        if entry.pricing is not None and self._includes(entry.time_us, entry.time_us):
            self._difference.recorded.add(entry)
            if entry.outcome != outcomes.QUARANTINED:  # its time may lie far ahead
                self._newest_us = max(self._newest_us or entry.time_us, entry.time_us)

    def _includes(self, earliest_us: int, latest_us: int) -> bool:
        """Tell whether a span of time and the range have a moment in common."""
        return (self._since_us is None or latest_us >= self._since_us) and (
            self._until_us is None or earliest_us < self._until_us
        )

    def _has_calls(self, partition: int, first_offset: int, end_offset: int) -> bool:
        """Tell whether records may have calls of the range."""
        blocks = range(first_offset // BLOCK_RECORDS, (end_offset - 1) // BLOCK_RECORDS + 1)
        spans = [self._spans[partition, block] for block in blocks if (partition, block) in self._spans]
        return any(self._includes(*span) for span in spans)

    def _build_restatement(self, partition: int, first_offset: int, end_offset: int) -> Draft:
        times = {"since": self._difference.since, "until": self._difference.until}
        body = {"first_offset": first_offset, "end_offset": end_offset, **times}
        return build_restatement(self._settings, partition, body, None)


def _convert_time(time: str | None) -> int | None:
    return None if time is None else (datetime.fromisoformat(time) - EPOCH) // timedelta(microseconds=1)
