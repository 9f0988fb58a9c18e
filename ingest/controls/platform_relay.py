"""What concerns everyone: recorded once in the order of a reserved organization, and relayed to every partition.

A relay names its original and the original before that one, so a fold notices when one is missing, and passes over
one that is repeated. Partitions are not atomic together: where a publisher died between them, whoever publishes next,
or asks for the same again, appends what is lacking.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

from ingest.intake.batch import Envelope
from ingest.intake.intake import decode
from ledger.home.locks import locked
from ledger.log import PARTITIONS, Draft, Log, Position, Record, partition_of, records, seek_time
from ledger.log.topics import EVENTS
from ledger.organizations import PLATFORM
from tallystick.vocabulary.controls.prices import PriceBookAdopted

_ENVELOPE = Envelope(PLATFORM, "control", "local")
_HOME = partition_of(PLATFORM)
_OTHERS = [partition for partition in range(PARTITIONS) if partition != _HOME]
_SKEW_MS = 3_600_000
"""How far the clocks of two brokers may lie apart. Beyond it relays are repeated, which changes nothing."""


class Adoption(NamedTuple):
    """A price book's name and document, and where its adoption stands."""

    name: str
    document: str
    position: Position


def alone(home: Path) -> AbstractContextManager[None]:
    """Be the only one of this home who decides for everyone. Two homes on one cluster may decide at once: both
    decisions are relayed, in the order in which they stand."""
    return locked(home / "run" / "platform.lock")


def publish(log: Log, line: bytes) -> Position:
    """Append a decision that concerns everyone, and its relays."""
    (original,) = log.append(EVENTS, [_ENVELOPE.draft(line)])
    relay(log)
    return Position(original.partition, original.offset, 0)


def ensure(log: Log, line: bytes) -> None:
    """Publish a decision that may stand there already, by one who died since."""
    if any(original.value == line for original in _originals(log)):
        relay(log)
    else:
        publish(log, line)


def relay(log: Log) -> None:
    """Append the relays that partitions lack, each partition's in the order of their originals."""
    originals = list(_originals(log))
    for partition in _OTHERS:
        if lacking := range(_relayed(log, partition, originals), len(originals)):
            log.append(EVENTS, [_relay(originals, at)._replace(partition=partition) for at in lacking])


def complete(log: Log) -> bool:
    """Whether what was first decided for everyone has come to every partition. A partition begins with it, unless
    who decided it died in between."""
    return all(log.ends(EVENTS)) and all(
        "relay_of" in first.headers for one in _OTHERS for first in log.read(EVENTS, one, 0, max_bytes=1)
    )


def adoptions(log: Log) -> Iterator[Adoption]:
    """All adoptions of price books, in their order."""
    for original in _originals(log):
        data = decode(original.value)["data"]
        if data["control"] == PriceBookAdopted.control_type:
            position = Position(original.partition, original.offset, 0)
            yield Adoption(data["body"]["name"], data["body"]["document"], position)


def _originals(log: Log) -> Iterator[Record]:
    ours = (record for record in records(log, EVENTS, _HOME) if record.headers.get("organization") == PLATFORM)
    return (record for record in ours if record.headers.get("channel") == _ENVELOPE.channel)


def _relayed(log: Log, partition: int, originals: Sequence[Record]) -> int:
    """How many of the originals, from the first on, have come to this partition."""
    for at in range(len(originals), 0, -1):
        original = originals[at - 1]
        start = seek_time(log, EVENTS, partition, original.time_ms - _SKEW_MS)
        if any(one.headers.get("relay_of") == _name(original) for one in records(log, EVENTS, partition, start)):
            return at
    return 0


def _relay(originals: Sequence[Record], at: int) -> Draft:
    original = originals[at]
    before = _name(originals[at - 1]) if at else ""
    return Draft(
        0, original.key, {**original.headers, "relay_of": _name(original), "relay_after": before}, original.value
    )


def _name(original: Record) -> str:
    return f"{original.partition}:{original.offset}"
