"""Batches: events of one organization framed into records, with what the door refused counted beside them."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

from ingest.intake.intake import encode
from ingest.intake.privacy import replace_text_secrets
from ingest.intake.rejection import Rejection, make_skeleton
from ledger import fault_points
from ledger.home.secrets import pseudonym
from ledger.log import Appender, Draft, Record, partition_of
from ledger.log.topics import EVENTS, REJECTED
from ledger.organizations import check_organization
from tallystick.vocabulary.event import SCHEMA_VERSION

MAX_EVENTS = 500
MAX_BYTES = 256_000
MAX_DETAILS = 50
"""Refusals of one record that are told one by one on ``tally.rejected``; the others are counted by reason."""


class Envelope(NamedTuple):
    """Who brings the events of a record, and through which door."""

    organization: str
    channel: str
    principal: str

    def make_draft(self, value: bytes, refused: int = 0, extra_headers: Mapping[str, str] = MappingProxyType({})) -> Draft:
        """A record of the organization, in its partition; ``more`` are further headers."""
        headers = {**self._asdict(), "schema": SCHEMA_VERSION, "refused": str(refused), **extra_headers}
        return Draft(partition_of(self.organization), self.organization, headers, value)


class Batch:
    """Collects events and refusals, and appends them as one record. It is empty again after each append."""

    def __init__(self, log: Appender, envelope: Envelope, key: str) -> None:
        check_organization(envelope.organization, "TALLY_ORGANIZATION", "have events")
        self._log = log
        self._envelope = envelope
        self._pseudonymize = partial(pseudonym, key)
        self._hash_key = hashlib.sha256(key.encode()).digest()
        self._clear()

    def _clear(self) -> None:
        self.lines: list[bytes] = []
        self.refused = 0
        self._bytes = 0
        self._details: list[dict[str, Any]] = []
        self._counts_by_reason: Counter[tuple[str, str]] = Counter()

    def has_room_for(self, line: bytes) -> bool:
        """Whether one more event fits, or one more refusal (an empty line)."""
        return max(len(self.lines), self.refused) < MAX_EVENTS and self._bytes + len(line) < MAX_BYTES

    def add(self, line: bytes) -> None:
        self.lines.append(line)
        self._bytes += len(line) + 1

    def refuse(self, rejection: Rejection, raw: bytes, length: int) -> None:
        """Count a refusal, and keep what may be said of it: no value, and a keyed hash."""
        self.refused += 1
        # A mapping's columns have names of a person's choice.
        path, reason = (replace_text_secrets(text, self._pseudonymize) for text in (rejection.field, rejection.reason))
        if len(self._details) == MAX_DETAILS:
            self._counts_by_reason[path, reason] += 1
            return
        self._details.append(
            {
                "channel": self._envelope.channel,
                "path": path,
                "reason": reason,
                "bytes": length,
                "hash": hashlib.blake2b(raw, digest_size=16, key=self._hash_key).hexdigest(),
                "skeleton": make_skeleton(rejection.shape),
            }
        )

    def append(self) -> Record | None:
        """Append what was collected and return its record; None where nothing was."""
        if not self.lines and not self.refused:
            return None
        (record,) = self._log.append(EVENTS, [self._envelope.make_draft(b"\n".join(self.lines), self.refused)])
        fault_points.point(f"{self._envelope.channel}.after_append")
        if self._details:
            self._log.append(REJECTED, [self._envelope.make_draft(self._encode_details(record), self.refused)])
        self._clear()
        return record

    def _encode_details(self, record: Record) -> bytes:
        position = {"partition": record.partition, "offset": record.offset}
        counts = [
            {"channel": self._envelope.channel, "path": path, "reason": reason, "times": times}
            for (path, reason), times in self._counts_by_reason.most_common(MAX_DETAILS)
        ]
        return b"\n".join(encode(position | detail) for detail in self._details + counts)
