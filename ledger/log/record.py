"""A record of the log, and the position of an event in it."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import NamedTuple

from ledger import envelope
from ledger.errors import LogDamaged, TallyError
from ledger.log.topics import EVENTS

PARTITIONS = EVENTS.partitions
"""Fixed for ever: a copy of a log keeps partitions and offsets, and so is the same log."""


MAX_RECORD_BYTES = 1_000_000
"""Bytes of a record with its key and headers: Kafka's brokers reject records of more than 1,048,588 by default."""


class Draft(NamedTuple):
    """A record to append. The log gives it an offset and a time."""

    partition: int
    key: str
    headers: Mapping[str, str]
    value: bytes


def check_draft(draft: Draft) -> Draft:
    """Return the draft. TallyError where it is too large for the log."""
    size = len(draft.key) + len(draft.value) + sum(len(key) + len(value) for key, value in draft.headers.items())
    if size > MAX_RECORD_BYTES - 1_000:  # what frames it
        raise TallyError(
            f"a record of {size:,} bytes is too large for the log, which takes {MAX_RECORD_BYTES - 1_000:,}"
        )
    return draft


class Record(NamedTuple):
    """A record on the log. ``time_ms`` is the log's own time, which never runs backward in a partition."""

    partition: int
    offset: int
    time_ms: int
    key: str
    headers: Mapping[str, str]
    value: bytes

    @property
    def organization(self) -> str:
        """The organization of its events, as its header says; without a header, its key."""
        return self.headers.get(envelope.ORGANIZATION, self.key)

    @property
    def channel(self) -> str:
        """The way it came in; empty where its header is missing. LogDamaged where the record has the former format."""
        if envelope.FORMER_CHANNEL in self.headers:
            raise LogDamaged(
                f"partition {self.partition}, offset {self.offset} is a record of the format before this version's: "
                "name another log in TALLY_LOG, and import its sources anew (`tally import`); nothing here is changed"
            )
        return self.headers.get(envelope.CHANNEL, "")

    @property
    def refused(self) -> int:
        """The number of events that were refused beside those it holds."""
        return int(self.headers.get(envelope.REFUSED, "0"))

    @property
    def cause_offset(self) -> int:
        """The offset of ``tally.events`` that caused a derived record. LogDamaged where it names none."""
        try:
            return int(self.headers[envelope.CAUSE_OFFSET])
        except (KeyError, ValueError) as error:
            raise LogDamaged(
                f"the derived record of partition {self.partition}, offset {self.offset} does not say what caused it "
                f"({error!r}): `tally rebuild` derives everything again from the log"
            ) from error

    def digest(self) -> str:
        """Compute the digest that a stored position keeps of its record, to detect a log that was cut, restored or
        altered."""
        frame = json.dumps([*self[:4], sorted(self.headers.items())], ensure_ascii=False).encode()
        return hashlib.blake2b(frame + b"\0" + self.value, digest_size=16).hexdigest()

    def derived_digest(self) -> str:
        """Compute the digest by which derived records are compared: it leaves out the offset, since on Kafka
        transactions take offsets too."""
        return self._replace(offset=0).digest()


class Position(NamedTuple):
    """The position of an event on ``tally.events``; ``event_index`` counts within its record from 0. Its text is the
    ``call_key`` of the marts."""

    partition: int
    offset: int
    event_index: int

    def __str__(self) -> str:
        return f"{self.partition}-{self.offset}-{self.event_index}"


MAX_EVENT_INDEX = 2**32 - 1
_POSITION = re.compile(r"(?:([0-9]{1,5})([:-]))?([0-9]{1,18})(?(2)\2|[:-])([0-9]{1,10})", re.ASCII)


def parse_position(text: str, partition: int | None = None) -> Position | None:
    """Parse a position: ``2-17-0``, or ``2:17:0``; with a partition that is known, also ``17-0`` or ``17:0``. None
    where the text is none."""
    match = _POSITION.fullmatch(text)
    if match is None or (match[1] is None and partition is None):
        return None
    position = Position(int(match[1] or partition or 0), int(match[3]), int(match[4]))
    return position if position.partition < PARTITIONS and position.event_index <= MAX_EVENT_INDEX else None


def partition_of(organization: str) -> int:
    """Return the partition of an organization: all its scopes are in one order."""
    digest = hashlib.blake2b(organization.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % PARTITIONS
