"""Documents on the log: large content named by its hash, on the log before the record that adopts it."""

from ledger.log import Draft, Log, records
from ledger.log.topics import DOCUMENTS


def store_document(log: Log, digest: str, packed: bytes) -> None:
    """Append a document, unless the log has it."""
    if load_document(log, digest) is None:
        log.append(DOCUMENTS, [Draft(0, digest, {}, packed)])


def load_document(log: Log, digest: str) -> bytes | None:
    """Load a document's compressed bytes; None where the log has none of this hash."""
    for record in records(log, DOCUMENTS, 0):
        if record.key == digest:
            return record.value
    return None
