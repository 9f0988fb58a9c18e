"""The state topic: the folds' state of a partition as records of a compacted topic.

One key holds the position, each row has a key of its own (without a value where it was deleted), and identities go in
blocks that are never written again: an identity that changes stands in a later block once more. A reader at the topic's
end holds the state after the last committed batch.
"""

import json
import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from ledger.errors import TallyError
from streams.folds.identity import EventVersion
from streams.folds.state import Key, Row, key_text
from streams.folds.version import VERSION
from streams.partition_state import Change, FoldPosition

POSITION = "position"
IDENTITIES = "identities"
MAX_BLOCK_IDENTITIES = 8_000
_IDENTITY = struct.Struct(">16s8sQIQBQIQiQi")  # identity, then the fields of EventVersion


class StateRecord(NamedTuple):
    """A record of the topic. Without a value it deletes its key."""

    key: str
    value: bytes | None


def encode_change(position: FoldPosition, change: Change) -> Iterator[StateRecord]:
    """Encode a change as records of the topic, the position last."""
    for key, row in change.rows.items():
        yield StateRecord(key_text(key), None if row is None else msgspec.json.encode((row.value, row.due_us)))
    identities = list(change.identities.items())
    for start in range(0, len(identities), MAX_BLOCK_IDENTITIES):
        packed = b"".join(
            _IDENTITY.pack(identity, *version) for identity, version in identities[start : start + MAX_BLOCK_IDENTITIES]
        )
        yield StateRecord(f"{IDENTITIES}:{position.next_offset}:{start}", packed)
    yield StateRecord(POSITION, json.dumps([VERSION, *position]).encode())


def read_change(records: Iterable[StateRecord]) -> Change:
    """Read records as one change, in their order. TallyError where folds of another version wrote them."""
    rows: dict[Key, Row | None] = {}
    identities: dict[bytes, EventVersion] = {}
    position: FoldPosition | None = None
    for key, value in records:
        if key == POSITION and value:
            version, *values = json.loads(value)
            if version != VERSION:
                raise TallyError(
                    f"the state topic was written by folds of version {version}, but these are of version {VERSION}: "
                    "`tally rebuild` derives everything again from the log, beside the old"
                )
            position = FoldPosition(*values)
        elif key.startswith(IDENTITIES) and value:
            identities.update((identity, EventVersion(*version)) for identity, *version in _IDENTITY.iter_unpack(value))
        else:
            rows[tuple(json.loads(key))] = Row(*json.loads(value)) if value else None
    return Change(position, rows, identities)
