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
from streams.partition_state import Change, Reached

POSITION = "position"
BLOCK = "identities"
A_BLOCK = 10_000
_IDENTITY = struct.Struct(">16s8sQI")  # identity, content, offset, at


class Entry(NamedTuple):
    """A record of the topic. Without a value it deletes what its key held."""

    key: str
    value: bytes | None


def encode_change(reached: Reached, change: Change) -> Iterator[Entry]:
    """What a change adds to the topic, the position last."""
    for key, row in change.rows.items():
        yield Entry(key_text(key), None if row is None else msgspec.json.encode((row.value, row.due_us)))
    taken = list(change.identities.items())
    for start in range(0, len(taken), A_BLOCK):
        packed = b"".join(_IDENTITY.pack(one, *first) for one, first in taken[start : start + A_BLOCK])
        yield Entry(f"{BLOCK}:{reached.next_offset}:{start}", packed)
    yield Entry(POSITION, json.dumps([VERSION, *reached]).encode())


def read_change(entries: Iterable[Entry]) -> Change:
    """The sum of some entries, in their order. TallyError where folds of another version wrote them."""
    rows: dict[Key, Row | None] = {}
    taken: dict[bytes, FirstSeen] = {}
    reached: Reached | None = None
    for key, value in entries:
        if key == POSITION and value:
            version, *position = json.loads(value)
            if version != VERSION:
                raise TallyError(
                    f"the topic of rows was written by folds of version {version}, and these are of version {VERSION}: "
                    "`tally rebuild` derives everything again from the log, beside the old"
                )
            reached = Reached(*position)
        elif key.startswith(BLOCK) and value:
            taken.update((one, FirstSeen(*first)) for one, *first in _IDENTITY.iter_unpack(value))
        else:
            rows[tuple(json.loads(key))] = Row(*json.loads(value)) if value else None
    return Change(reached, rows, taken)
