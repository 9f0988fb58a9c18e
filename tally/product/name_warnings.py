"""Compare the names that a person gives with the price books: one that none of them has may be misspelled."""

import time
from collections.abc import Iterator, Sequence

from ingest.controls.platform_relay import find_adoptions
from ledger.log import Log
from ledger.log.documents import load_document
from ledger.pricing.contract import Contract
from ledger.pricing.genai_prices import genai_prices
from ledger.pricing.price_book import Clause, PriceBook, unpack_book
from streams.folds.prices.clauses import is_match
from streams.folds.prices.model_names import find_provider_id, spell_model
from streams.folds.prices.price_lookup import Catalogue, find_offer


def list_contract_warnings(contract: Contract, log: Log) -> list[str]:
    """Return a warning for each clause that fits no provider or model of the books in force and of the catalogue."""
    books = _read_books(log)
    providers = [contract.provider, *(scope.provider for scope in (*contract.terms, *contract.commitments))]
    models = [scope.model for scope in (*contract.terms, *contract.commitments)]
    unknown = [("provider", part) for part in _list_parts(providers) if not _is_provider_known(part, books)]
    unknown += [("model", part) for part in _list_parts(models) if not _is_model_known(part, books)]
    return list(dict.fromkeys(_describe(kind, part) for kind, part in unknown))


def list_alias_warnings(provider: str, model: str, log: Log) -> list[str]:
    """Return a warning where no book in force, nor the catalogue, has a price of an alias's model now."""
    catalogues = [Catalogue("", book) for book in _read_books(log)]
    offer = find_offer(catalogues, provider, (model.lower(),), time.time_ns() // 1000)
    if not isinstance(offer, str):
        return []
    return [
        f"{provider}/{model} has no price ({offer}), so these calls have none until a book has it. Is it spelled right?"
    ]


def _read_books(log: Log) -> list[PriceBook]:
    """Read the catalogue, and the books in force."""
    books = [genai_prices()]
    in_force = {adoption.name: adoption for adoption in find_adoptions(log)}
    for adoption in in_force.values():
        packed = load_document(log, adoption.document)
        if packed is not None:
            books.append(unpack_book(adoption.document, packed))
    return books


def _list_parts(clauses: Sequence[Clause | None]) -> Iterator[Clause]:
    for clause in clauses:
        if clause is not None and clause.any_of is not None:
            yield from _list_parts(clause.any_of)
        elif clause is not None:
            yield clause


def _is_provider_known(clause: Clause, books: Sequence[PriceBook]) -> bool:
    if clause.equals is not None:
        name = clause.equals.lower()
        return bool(find_provider_id(name)) or any(Catalogue("", book).find_provider(name) for book in books)
    return any(is_match(clause, provider.id.lower()) for book in books for provider in book.providers)


def _is_model_known(clause: Clause, books: Sequence[PriceBook]) -> bool:
    models = (model for book in books for provider in book.providers for model in provider.models)
    if clause.equals is None:
        return any(is_match(clause, model.id.lower()) for model in models)
    spellings = spell_model(clause.equals.lower())
    names = (*spellings.exact, *spellings.undated)
    return any(model.id.lower() in names or any(is_match(model.match, name) for name in names) for model in models)


def _describe(kind: str, clause: Clause) -> str:
    ((field, value),) = clause.model_dump(exclude_none=True).items()
    words = repr(value) if field == "equals" else f"that {field.replace('_', ' ')} {value!r}"
    return f"no price book has a {kind} {words}: the clause fits only calls that name one so. Is it spelled right?"
