"""Shared by the runtimes of the folds: the documents that the log holds, ticks, and rarer garbage collection."""

import gc
import json
from datetime import timedelta
from functools import lru_cache

from ledger import envelope
from ledger.errors import TallyError
from ledger.log import Draft, Log
from ledger.log.documents import load_document
from ledger.organizations import PLATFORM
from ledger.pricing.price_book import unpack_book
from streams.folds.entry import Documents
from streams.folds.event import EPOCH
from streams.folds.price_lookup import Catalogue
from tallystick import TickEvent

_HEADERS = {
    envelope.ORGANIZATION: PLATFORM, envelope.CHANNEL: "streams", envelope.PRINCIPAL: "streams", envelope.SCHEMA: "1",
    envelope.REFUSED: "0",
}  # fmt: skip


def reduce_garbage_collection() -> None:
    """Look for cycles of references seldom: the folds make none, and the search takes a fifth of their time."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def read_catalogues(log: Log) -> Documents:
    """Return a lookup of the price books that the log holds, by hash."""

    @lru_cache(maxsize=8)
    def catalogue(digest: str) -> Catalogue:
        packed = load_document(log, digest)
        if packed is None:
            raise TallyError(
                f"the log names the document {digest} and does not hold it: restore tally.documents from a copy"
            )
        return Catalogue(digest, unpack_book(digest, packed))

    return catalogue


def build_tick(partition: int, offset: int, due_us: int) -> Draft:
    """Build a tick for a partition in which something fell due and nothing arrives.

    ``offset`` is its expected place: two workers that tick at once write the same event, and one too many changes
    nothing.
    """
    due = (EPOCH + timedelta(microseconds=due_us)).isoformat()
    fields = {"source": "tally-streams", "id": f"{partition}-{offset}", "time": due}
    event = TickEvent.model_validate_json(json.dumps(fields))
    return Draft(partition, PLATFORM, _HEADERS, event.canonical())
