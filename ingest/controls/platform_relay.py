"""Decisions of the platform: recorded once in the order of a reserved organization, and relayed to every partition.

A relay names its original and the original before that one, so a fold notices when one is missing, and passes over
one that is repeated. Partitions are not atomic together: where a publisher died between them, the next one, also one
that publishes the same again, appends the missing relays.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

from ingest.intake.batch import Envelope
from ingest.intake.intake import decode
from ledger import envelope
from ledger.home.locks import locked
from ledger.log import PARTITIONS, Draft, Log, Position, Record, partition_of, records, seek_time
from ledger.log.topics import EVENTS
from ledger.organizations import PLATFORM
from tallystick.vocabulary.controls.prices import PriceBookAdopted

_PLATFORM_ENVELOPE = Envelope(PLATFORM, "control", "local")
_PLATFORM_PARTITION = partition_of(PLATFORM)
_OTHER_PARTITIONS = [partition for partition in range(PARTITIONS) if partition != _PLATFORM_PARTITION]
_MAX_CLOCK_SKEW_MS = 3_600_000
"""Greatest distance between the clocks of two brokers. Beyond it relays are repeated, which changes nothing."""


class Adoption(NamedTuple):
    """A price book's name and document, and where its adoption stands."""

    name: str
    document: str
    position: Position


def platform_lock(home: Path) -> AbstractContextManager[None]:
    """Hold the lock of this home's decisions of the platform. Two homes on one cluster may decide at once: both
    decisions are relayed, in the order in which they stand."""
    return locked(home / "run" / "platform.lock")


def publish(log: Log, line: bytes) -> Position:
    """Append a decision of the platform, and its relays."""
    (original,) = log.append(EVENTS, [_PLATFORM_ENVELOPE.make_draft(line)])
    relay(log)
    return Position(original.partition, original.offset, 0)


def ensure(log: Log, line: bytes) -> None:
    """Publish a decision, unless it stands there already: its publisher may have died before the relays."""
    if any(original.value == line for original in _find_originals(log)):
        relay(log)
    else:
        publish(log, line)


def relay(log: Log) -> None:
    """Append the missing relays, each partition's in the order of their originals."""
    originals = list(_find_originals(log))
    for partition in _OTHER_PARTITIONS:
        if missing := range(_count_relayed(log, partition, originals), len(originals)):
            log.append(EVENTS, [_build_relay(originals, index)._replace(partition=partition) for index in missing])


def is_complete(log: Log) -> bool:
    """Tell whether the platform's first decision has come to every partition. A partition begins with it, unless its
    publisher died in between."""
    return all(log.ends(EVENTS)) and all(
        envelope.RELAY_OF in first.headers
        for partition in _OTHER_PARTITIONS
        for first in log.read(EVENTS, partition, 0, max_bytes=1)
    )


def find_adoptions(log: Log) -> Iterator[Adoption]:
    """Yield all adoptions of price books, in their order."""
    for body, position in find_decisions(log, PriceBookAdopted.control_type):
        yield Adoption(body["name"], body["document"], position)


def find_decisions(log: Log, control_type: str) -> Iterator[tuple[dict[str, Any], Position]]:
    """Yield the body of all decisions of a type, and where each stands, in their order."""
    for original in _find_originals(log):
        data = decode(original.value)["data"]
        if data["control"] == control_type:
            yield data["body"], Position(original.partition, original.offset, 0)


def _find_originals(log: Log) -> Iterator[Record]:
    platform_records = (
        record
        for record in records(log, EVENTS, _PLATFORM_PARTITION)
        if record.headers.get(envelope.ORGANIZATION) == PLATFORM
    )
    return (record for record in platform_records if record.headers.get(envelope.CHANNEL) == _PLATFORM_ENVELOPE.channel)


def _count_relayed(log: Log, partition: int, originals: Sequence[Record]) -> int:
    """Count the originals, from the first on, that have come to this partition."""
    for count in range(len(originals), 0, -1):
        original = originals[count - 1]
        start = seek_time(log, EVENTS, partition, original.time_ms - _MAX_CLOCK_SKEW_MS)
        if any(
            record.headers.get(envelope.RELAY_OF) == _name_original(original)
            for record in records(log, EVENTS, partition, start)
        ):
            return count
    return 0


def _build_relay(originals: Sequence[Record], index: int) -> Draft:
    original = originals[index]
    predecessor = _name_original(originals[index - 1]) if index else ""
    return Draft(
        0,
        original.key,
        {**original.headers, envelope.RELAY_OF: _name_original(original), envelope.RELAY_AFTER: predecessor},
        original.value,
    )


def _name_original(original: Record) -> str:
    return f"{original.partition}:{original.offset}"
