"""The topic of rows: what the folds remember of a partition, as records of a compacted topic.

One key holds the position, each row has its own (without a value where it was deleted), and identities go in blocks
that are never written again. Whoever reads the topic to its end holds what the last committed batch left.
"""

import json
import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from ledger.errors import TallyError
from streams.folds.identity import FirstSeen
from streams.folds.state import Key, Row, key_text
from streams.folds.version import VERSION
from streams.partition_state import Change, FoldPosition

POSITION = "position"
IDENTITIES = "identities"
MAX_BLOCK_IDENTITIES = 10_000
_IDENTITY = struct.Struct(">16s8sQI")  # identity, content, offset, at


class StateRecord(NamedTuple):
    """A record of the topic. Without a value it deletes what its key held."""

    key: str
    value: bytes | None


def encode_change(position: FoldPosition, change: Change) -> Iterator[StateRecord]:
    """What a change adds to the topic, the position last."""
    for key, row in change.rows.items():
        yield StateRecord(key_text(key), None if row is None else msgspec.json.encode((row.value, row.due_us)))
    identities = list(change.identities.items())
    for start in range(0, len(identities), MAX_BLOCK_IDENTITIES):
        packed = b"".join(_IDENTITY.pack(identity, *first) for identity, first in identities[start : start + MAX_BLOCK_IDENTITIES])
        yield StateRecord(f"{IDENTITIES}:{position.next_offset}:{start}", packed)
    yield StateRecord(POSITION, json.dumps([VERSION, *position]).encode())


def read_change(records: Iterable[StateRecord]) -> Change:
    """The sum of some entries, in their order. TallyError where folds of another version wrote them."""
    rows: dict[Key, Row | None] = {}
    identities: dict[bytes, FirstSeen] = {}
    position: FoldPosition | None = None
    for key, value in records:
        if key == POSITION and value:
            version, *values = json.loads(value)
            if version != VERSION:
                raise TallyError(
                    f"the topic of rows was written by folds of version {version}, and these are of version {VERSION}: "
                    "`tally rebuild` derives everything again from the log, beside the old"
                )
            position = FoldPosition(*values)
        elif key.startswith(IDENTITIES) and value:
            identities.update((identity, FirstSeen(*first)) for identity, *first in _IDENTITY.iter_unpack(value))
        else:
            rows[tuple(json.loads(key))] = Row(*json.loads(value)) if value else None
    return Change(position, rows, identities)
