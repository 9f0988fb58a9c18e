"""Currencies in which calls can cost: those of the price books and contracts in force."""

from collections.abc import Iterable

from ledger.budgets import describe_uncounted
from streams.folds.contracts.agreement import list_currencies
from streams.folds.entry import Documents
from streams.folds.rating import find_books, open_book
from streams.folds.state import State


def find_uncounted(organization: str, currencies: Iterable[str], state: State, documents: Documents) -> str | None:
    """Return why limits in some currencies count nothing: no price or contract in force is in one of them. None where
    all can count, and where nothing has a price yet."""
    priced = {open_book(documents, document).currency for _, document in find_books(None, state)}
    priced |= list_currencies(organization, state, documents)
    uncounted = sorted(set(currencies) - priced) if priced else []
    return "; ".join(describe_uncounted(currency, priced) for currency in uncounted) or None
