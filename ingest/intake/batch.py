"""Batches: events of one organization framed into records, with the rejections beside them."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

from ingest.intake.intake import encode
from ingest.intake.privacy import replace_text_secrets
from ingest.intake.rejection import Rejection, make_skeleton
from ledger import envelope, fault_points
from ledger.home.secrets import pseudonym
from ledger.log import Appender, Draft, Record, partition_of
from ledger.log.topics import EVENTS, REJECTED
from ledger.organizations import check_organization
from tallystick.vocabulary.event import SCHEMA_VERSION

MAX_EVENTS = 500
MAX_BYTES = 256_000
MAX_DETAILS = 50
"""Rejections of one record that ``tally.rejected`` lists one by one; the others are counted by reason."""


class Envelope(NamedTuple):
    """The organization of a record's events, their channel, and the principal that sends them."""

    organization: str
    channel: str
    principal: str

    def make_draft(
        self, value: bytes, refused: int = 0, extra_headers: Mapping[str, str] = MappingProxyType({})
    ) -> Draft:
        """Make a record of the organization, in its partition."""
        headers = {**self._asdict(), envelope.SCHEMA: SCHEMA_VERSION, envelope.REFUSED: str(refused), **extra_headers}
        return Draft(partition_of(self.organization), self.organization, headers, value)


class Batch:
    """Collects events and rejections, and appends them as one record. It is empty after each append."""

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
        """Tell whether one more event fits, or one more rejection (an empty line)."""
        return max(len(self.lines), self.refused) < MAX_EVENTS and self._bytes + len(line) < MAX_BYTES

    def add(self, line: bytes) -> None:
        self.lines.append(line)
        self._bytes += len(line) + 1

    def refuse(self, rejection: Rejection, raw: bytes, length: int) -> None:
        """Count a rejection, and keep its detail: no value, and a keyed hash."""
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
        """Append the collected events and rejections and return the record; None where there are none."""
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
