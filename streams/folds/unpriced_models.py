"""Models that no price book in force prices, and the names near them."""

import difflib
from collections.abc import Iterable

from streams.folds.entry import Documents
from streams.folds.model_aliases import find_aliases
from streams.folds.prices.price_lookup import Catalogue
from streams.folds.rating import find_books, open_book
from streams.folds.state import State

MAX_NEAR_NAMES = 3


def find_unpriced(models: Iterable[str], state: State, documents: Documents) -> str | None:
    """Return why asks cannot be given some models in place of their own; None where all can, and where nothing has a
    price yet."""
    books = [open_book(documents, document) for _, document in find_books(None, state)]
    aliases = find_aliases(None, state) or {}
    unpriced = [
        model
        for model in dict.fromkeys(models)
        if model.lower() not in aliases and not any(book.has_model(model.lower()) for book in books)
    ]
    return "; ".join(_describe(model, books) for model in unpriced) or None if books else None


def _describe(model: str, books: Iterable[Catalogue]) -> str:
    names = sorted({name for book in books for name in book.list_models()})
    near = difflib.get_close_matches(model.lower(), names, MAX_NEAR_NAMES)
    way_out = f"name another model, such as {' or '.join(map(repr, near))}" if near else "name another model"
    return (
        f"no price book in force has a price of the model {model!r}, so no limit of money downgrades to it: {way_out}, "
        f"or adopt a book that prices it"
    )
