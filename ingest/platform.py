"""What concerns everyone: recorded once in the order of a reserved organization, and relayed to every partition.

A relay names its original and the original before that one, so a fold notices when one is missing. All of it
happens under one lock, and an original stands on the log with all its relays or not at all.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

from ingest.batch import Envelope
from ingest.door import decode
from ledger.home import locked
from ledger.log import PARTITIONS, Draft, Log, Position, Record, partition_of, records
from ledger.topics import EVENTS, PLATFORM

_ENVELOPE = Envelope(PLATFORM, "control", "local")
_OTHERS = [partition for partition in range(PARTITIONS) if partition != partition_of(PLATFORM)]


class Adoption(NamedTuple):
    """A price book's name and document, and where its adoption stands."""

    name: str
    document: str
    position: Position


def alone(home: Path) -> AbstractContextManager[None]:
    """Be the only one who decides for everyone."""
    return locked(home / "log" / "platform.lock")


def publish(log: Log, line: bytes) -> Position:
    """Append a decision that concerns everyone, and its relays. To be called under the lock."""
    before = ""
    for relay in _relays(log):
        before = relay.headers["relay_of"]

    def relays(original: Record) -> list[Draft]:
        headers = {"relay_of": f"{original.partition}:{original.offset}", "relay_after": before}
        return [_ENVELOPE.draft(line, more=headers)._replace(partition=partition) for partition in _OTHERS]

    original, *_ = log.append_relayed(EVENTS, _ENVELOPE.draft(line), relays)
    return Position(original.partition, original.offset, 0)


def adoptions(log: Log) -> Iterator[Adoption]:
    """All adoptions of price books, in their order."""
    for relay in _relays(log):
        data = decode(relay.value)["data"]
        if data["control"] == "price_book.adopted":
            partition, _, offset = relay.headers["relay_of"].partition(":")
            position = Position(int(partition), int(offset), 0)
            yield Adoption(data["body"]["name"], data["body"]["document"], position)


def _relays(log: Log) -> Iterator[Record]:
    """The relays, from a partition that holds as little else as possible."""
    partition = min(_OTHERS, key=lambda one: log.end(EVENTS, one))
    return (record for record in records(log, EVENTS, partition) if "relay_of" in record.headers)
