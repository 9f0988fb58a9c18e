"""Documents that the log holds, ready for the folds that read them."""

from ledger.pricing.contract import unpack_document
from ledger.runaway_rules import RunawayRules, unpack_rules
from streams.folds.prices.contract_terms import ContractTerms, compile_document
from streams.folds.prices.price_lookup import Catalogue

Document = Catalogue | ContractTerms | RunawayRules


def open_document(digest: str, packed: bytes) -> Document:
    """Read a document's bytes. LogDamaged where they are not those of this hash."""
    return unpack_rules(digest, packed) or compile_document(digest, unpack_document(digest, packed))
