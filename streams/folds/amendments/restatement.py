"""Restatement: rate entries of the past by the prices in force here (docs/rules.md, R14)."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Never

import msgspec
from pydantic import ValidationError

from ledger import outcomes
from ledger.errors import LogDamaged
from ledger.organizations import PLATFORM
from streams.folds.amendments.corrections import Ledger
from streams.folds.contracts.coverage import read_coverage, release_coverage
from streams.folds.emit import Emit
from streams.folds.entry import EntryChange, RatedCall
from streams.folds.event import EPOCH, Event, ParsedRecord
from streams.folds.identity import EventPosition, EventVersion, Identities
from tallystick.vocabulary.controls.prices import MAX_RESTATED_RECORDS, PriceRestated

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class Scope(NamedTuple):
    """The calls that a restatement reaches. Names are compared in lower case; ``until_us`` is excluded."""

    provider: str | None
    model: str | None
    since_us: int | None
    until_us: int | None

    def includes(self, event: Event) -> bool:
        """Tell whether the restatement reaches the entry of this event."""
        assert event.call is not None, "it has an entry"
        dimensions = event.call.dimensions
        models = (dimensions.model_resolved, dimensions.model)
        return (
            (self.provider is None or (dimensions.provider or "").lower() == self.provider)
            and (self.model is None or any((model or "").lower() == self.model for model in models))
            and (self.since_us is None or event.time_us >= self.since_us)
            and (self.until_us is None or event.time_us < self.until_us)
        )


def read_no_history(first_offset: int, end_offset: int) -> Iterable[Never]:
    """Stand for the history of a log that is not at hand. LogDamaged."""
    raise LogDamaged(f"the records from offset {first_offset} to {end_offset} of tally.events are not at hand")


def find_range(event: Event, offset: int) -> tuple[int, int] | None:
    """Return the first offset and the end of the records that a restatement at an offset reaches; None of any other
    event, and where the range is not possible."""
    if event.kind != "control" or event.organization != PLATFORM:
        return None
    if event.data.get("control") != PriceRestated.control_type:
        return None
    try:
        body = _read_body(event)
    except ValidationError:
        return None
    first, end = body.first_offset, body.end_offset
    return (first, end) if first < end <= min(first + MAX_RESTATED_RECORDS, offset) else None


def restate_entries(
    event: Event, position: EventPosition, identities: Identities, ledger: Ledger, emit: Emit
) -> list[EntryChange]:
    """Apply ``price.restated`` that stands at a position on the log: list the entries that the prices in force here
    change. A restatement without effect says why in a decision."""
    reached = find_range(event, position[0])
    if reached is None:
        emit.decision(
            event.organization, "control.ineffective", control_type=PriceRestated.control_type,
            reason=f"only {PLATFORM} restates, and 1 to {MAX_RESTATED_RECORDS:,} records before the decision",
            event_source=event.source, event_id=event.id,
        )  # fmt: skip
        return []
    scope = _read_scope(_read_body(event))
    entries = []
    for identity, version, organization in _find_versions(ledger.history(*reached), identities):
        former = ledger.load_entry(version, organization)
        if former is not None and scope.includes(former.event):
            entries.append((identity, version, former))
    coverages = [read_coverage(former.event, ledger.state) for _, _, former in entries]
    for _, _, former in entries:  # all before any is rated: so what commitments cover follows the order of the log
        release_coverage(former.event, ledger.state)
    changes = []
    for (identity, version, former), coverage in zip(entries, coverages, strict=True):
        restated = ledger.rate_again(former, version)
        # What an entry uses has to be what its costs at its own position say: by that it is taken back later.
        if _has_other_costs(former, restated) or coverage != read_coverage(former.event, ledger.state):
            target = identity, version.restate(emit.order())
            changes.append(EntryChange(outcomes.RESTATEMENT, former, restated, former.position, target))
    emit.decision(
        event.organization, "control.applied", control_type=PriceRestated.control_type, event_source=event.source,
        event_id=event.id, reason=f"{len(changes)} entries have other costs",
    )  # fmt: skip
    return changes


def _find_versions(
    history: Iterable[ParsedRecord], identities: Identities
) -> Iterator[tuple[bytes, EventVersion, str]]:
    """Yield the calls of these records that have their identity: the identity, its version, and its organization."""
    for record, events in history:
        for event in events:
            version = identities.load_version(event.identity) if event.kind == "inference" else None
            if version is not None and version.position == (record.offset, event.event_index):
                yield event.identity, version, event.organization


def _has_other_costs(former: RatedCall, restated: RatedCall) -> bool:
    """Tell whether two ratings of a call differ in more than the names of the price and of the contract."""
    if former.entry.rated == restated.entry.rated:
        return False
    return _drop_names(former.entry.rated) != _drop_names(restated.entry.rated)


def _drop_names(rated: bytes) -> dict[str, Any]:
    names = ("price_document", "price_id", "contract_id")
    return {name: value for name, value in _decode(rated).items() if name not in names}


def _read_body(event: Event) -> PriceRestated:
    return PriceRestated.model_validate_json(_encode(event.data.get("body")))


def _read_scope(body: PriceRestated) -> Scope:
    provider, model = (name.lower() if name is not None else None for name in (body.provider, body.model))
    return Scope(provider, model, _convert_time(body.since), _convert_time(body.until))


def _convert_time(time: datetime | None) -> int | None:
    return None if time is None else (time - EPOCH) // timedelta(microseconds=1)
