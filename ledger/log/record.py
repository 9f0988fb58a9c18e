"""A record of the log, and the position of what stands in it."""

import hashlib
import json
from collections.abc import Mapping
from typing import NamedTuple

PARTITIONS = 16
"""For ever: a copy of a log keeps partitions and offsets, and so is the same log."""


class Draft(NamedTuple):
    """A record to append. The log gives it an offset and a time."""

    partition: int
    key: str
    headers: Mapping[str, str]
    value: bytes


class Record(NamedTuple):
    """A record as it stands. ``time_ms`` is the log's own time, which never runs backward in a partition."""

    partition: int
    offset: int
    time_ms: int
    key: str
    headers: Mapping[str, str]
    value: bytes

    def digest(self) -> str:
        """What a stored position keeps of its record, to notice a log that was cut, restored or altered."""
        frame = json.dumps([*self[:4], sorted(self.headers.items())], ensure_ascii=False).encode()
        return hashlib.blake2b(frame + b"\0" + self.value, digest_size=16).hexdigest()


class Position(NamedTuple):
    """Where an event stands on ``tally.events``; ``at`` counts within its record from 0."""

    partition: int
    offset: int
    at: int


def partition_of(organization: str) -> int:
    """The partition of an organization: all its scopes are in one order."""
    digest = hashlib.blake2b(organization.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % PARTITIONS
