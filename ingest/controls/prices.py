"""Adopt price books: the document first, then the record that names it."""

from typing import Any, NamedTuple

from ingest.controls import platform_relay
from ingest.controls.append import build_decision
from ingest.intake.batch import Envelope
from ingest.intake.privacy import replace_text_secrets
from ledger.errors import TallyError
from ledger.log import Draft, Log, Position
from ledger.log.documents import store_document
from ledger.organizations import PLATFORM
from ledger.pricing.genai_prices import genai_prices
from ledger.pricing.price_book import PriceBook, pack_book
from ledger.settings import Settings
from tallystick.vocabulary.controls.prices import PriceBookAdopted, PriceRestated

RESTATEMENT_CHANNEL = "restatement"
"""Restatements stand in the partition that they reach, and are not relayed."""


class BookAdoption(NamedTuple):
    """The position of a book's adoption. ``new`` is False for the book in force, which is not adopted again."""

    position: Position
    document: str
    new: bool


def adopt_price_book(log: Log, settings: Settings, book: PriceBook, reason: str | None = None) -> BookAdoption:
    """Price the events of all organizations by this book from here on. The book in force changes nothing."""
    with platform_relay.platform_lock(settings.home):
        return _adopt(log, settings, book, reason)


def ensure_price_book(log: Log, settings: Settings) -> None:
    """Adopt the installed catalogue where nothing was adopted yet: the first start of a home."""
    if platform_relay.is_complete(log):
        return
    with platform_relay.platform_lock(settings.home):
        if next(platform_relay.find_adoptions(log), None) is None:
            _adopt(log, settings, genai_prices(), "the first start of this home")
        else:
            platform_relay.relay(log)


def build_restatement(settings: Settings, partition: int, body: dict[str, Any], reason: str | None) -> Draft:
    """Build the record that rates a range of a partition again by the prices in force there."""
    line = build_decision(settings, PriceRestated.control_type, body, PLATFORM, reason)
    return Envelope(PLATFORM, RESTATEMENT_CHANNEL, "local").make_draft(line)._replace(partition=partition)


def _adopt(log: Log, settings: Settings, book: PriceBook, reason: str | None) -> BookAdoption:
    if replace_text_secrets(book.name, lambda name: "") != book.name:
        raise TallyError(
            f"the name of the price book, {book.name!r}, is a key or an e-mail address: give it another `name`"
        )
    document, packed = pack_book(book)
    in_force = {adoption.name: adoption for adoption in platform_relay.find_adoptions(log)}.get(book.name)
    if in_force is not None and in_force.document == document:
        platform_relay.relay(log)
        return BookAdoption(in_force.position, document, new=False)
    body = {"name": book.name, "document": document}
    line = build_decision(settings, PriceBookAdopted.control_type, body, PLATFORM, reason)
    store_document(log, document, packed)
    return BookAdoption(platform_relay.publish(log, line), document, new=True)
