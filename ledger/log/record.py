"""A record of the log, and the position of what stands in it."""

import hashlib
import json
from collections.abc import Mapping
from typing import NamedTuple

from ledger.errors import TallyError
from ledger.log.topics import EVENTS

PARTITIONS = EVENTS.partitions
"""For ever: a copy of a log keeps partitions and offsets, and so is the same log."""


MAX_RECORD_BYTES = 1_000_000
"""Bytes of a record with its key and headers: Kafka's brokers refuse by default what has more than 1,048,588."""


class Draft(NamedTuple):
    """A record to append. The log gives it an offset and a time."""

    partition: int
    key: str
    headers: Mapping[str, str]
    value: bytes


def check_draft(draft: Draft) -> Draft:
    """The same. TallyError where no log would take it."""
    size = len(draft.key) + len(draft.value) + sum(len(key) + len(value) for key, value in draft.headers.items())
    if size > MAX_RECORD_BYTES - 1_000:  # what frames it
        raise TallyError(f"a record of {size:,} bytes is too large for the log, which takes {MAX_RECORD_BYTES - 1_000:,}")
    return draft


class Record(NamedTuple):
    """A record as it stands. ``time_ms`` is the log's own time, which never runs backward in a partition."""

    partition: int
    offset: int
    time_ms: int
    key: str
    headers: Mapping[str, str]
    value: bytes

    @property
    def organization(self) -> str:
        """Whose it is, as its header says; without one, its key."""
        return self.headers.get("organization", self.key)

    def digest(self) -> str:
        """What a stored position keeps of its record, to notice a log that was cut, restored or altered."""
        frame = json.dumps([*self[:4], sorted(self.headers.items())], ensure_ascii=False).encode()
        return hashlib.blake2b(frame + b"\0" + self.value, digest_size=16).hexdigest()


class Position(NamedTuple):
    """Where an event stands on ``tally.events``; ``at`` counts within its record from 0."""

    partition: int
    offset: int
    event_index: int


def partition_of(organization: str) -> int:
    """The partition of an organization: all its scopes are in one order."""
    digest = hashlib.blake2b(organization.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % PARTITIONS
