"""Adopt documents of detector rules: the document first, then the record that names it."""

import hashlib
import zlib

from ingest.controls.append import append_control
from ledger.errors import TallyError
from ledger.log import Log, Position
from ledger.log.documents import store_document
from ledger.pricing.price_book import MAX_DOCUMENT_BYTES
from ledger.settings import Settings
from tallystick.vocabulary.controls.alerts import RulesAdopted


def adopt_rules(
    log: Log, settings: Settings, organization: str, name: str, content: bytes, reason: str | None = None
) -> Position:
    """Store a document of rules on the log and append its adoption. No detector reads rules yet, so neither the form of
    the content is checked nor has the decision an effect."""
    packed = zlib.compress(content, 9)
    if len(packed) > MAX_DOCUMENT_BYTES:
        raise TallyError(
            f"the rules {name!r} have {len(packed):,} bytes compressed and may have {MAX_DOCUMENT_BYTES:,}: split them "
            "into documents of different names"
        )
    document = hashlib.sha256(content).hexdigest()
    store_document(log, document, packed)
    body = {"name": name, "document": document}
    return append_control(log, settings, RulesAdopted.control_type, body, organization=organization, reason=reason)
