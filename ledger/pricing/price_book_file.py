"""Read a price book that a person wrote, as YAML or JSON."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ledger.errors import TallyError
from ledger.pricing.document_file import (
    PRICE_BOOK,
    build_field_error,
    build_shape_error,
    describe_field,
    parse_mapping,
)
from ledger.pricing.price_book import Price, PriceBook, PricedModel, Validity, Variant
from ledger.token_classes import PRICED_AS

Extend = Callable[[dict[str, Any]], None]
"""Complete the content of a book in place."""
Fault = tuple[tuple[int | str, ...], str]
"""The path of a field that has no effect, and the reason why it is refused."""


def read_book_file(path: Path, extend: Extend | None = None) -> PriceBook:
    """Read a price book from a file: see :func:`parse_book`. TallyError where it cannot be read."""
    try:
        return parse_book(path.read_text(), str(path), extend)
    except (OSError, UnicodeDecodeError) as error:
        raise TallyError(f"cannot read the price book {path}: {error}") from error


def parse_book(text: str, name: str, extend: Extend | None = None) -> PriceBook:
    """Parse a price book of YAML or JSON in the shape of :class:`PriceBook`; ``match`` may be left out and means the
    id, unless ``extend`` adds one to the content first.

    What ``priced_as`` does not say of a class is taken from ``ledger.token_classes.PRICED_AS``. TallyError names the
    field that is wrong, or that would have no effect."""
    content = parse_mapping(text, name, PRICE_BOOK)
    try:
        if extend is not None and _has_ids(content):
            extend(content)
        _complete_matches(content)
        fallbacks = content.get("priced_as", {})
        content = {"origin": "a file"} | content
        content["priced_as"] = PRICED_AS | fallbacks if isinstance(fallbacks, dict) else fallbacks
        book = PriceBook.model_validate(content, strict=False)
    except ValidationError as error:
        raise build_field_error(name, PRICE_BOOK, content, error) from error
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise build_shape_error(name, PRICE_BOOK, error) from error
    for path, reason in find_faults(book):
        raise describe_field(name, PRICE_BOOK, path, reason)
    return book


def _list_mappings(content: Any, name: str) -> list[dict[str, Any]]:
    """List the mappings in a list of a mapping; what is of another form is refused later, with its place."""
    entries = content.get(name) if isinstance(content, dict) else None
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


def _complete_matches(content: dict[str, Any]) -> None:
    for provider in _list_mappings(content, "providers"):
        for model in _list_mappings(provider, "models"):
            model.setdefault("match", {"equals": str(model.get("id"))})


def _has_ids(content: dict[str, Any]) -> bool:
    """Tell whether a book's content has the form that its completion reads: lists of mappings with ids."""
    providers = content.get("providers")
    lists = [providers, *(provider.get("models") for provider in _list_mappings(content, "providers"))]
    return all(
        isinstance(entries, list) and all(isinstance(entry, dict) and "id" in entry for entry in entries)
        for entries in lists
    )


def find_faults(book: PriceBook) -> Iterator[Fault]:
    """Yield what a book says without effect. Books on the log are read without it, so that old ones stay readable."""
    yield from _find_repeated_ids(("providers",), [provider.id for provider in book.providers])
    ids = {provider.id for provider in book.providers}
    for number, provider in enumerate(book.providers):
        place: tuple[int | str, ...] = ("providers", number)
        for index, id in enumerate(provider.models_of):
            if id not in ids:
                yield (
                    (*place, "models_of", index),
                    f"no provider of this book has the id {id!r}: add it, or leave this out",
                )
        yield from _find_repeated_ids((*place, "models"), [model.id for model in provider.models])
        for index, model in enumerate(provider.models):
            yield from _find_model_faults((*place, "models", index), model)


def _find_repeated_ids(place: tuple[int | str, ...], ids: Sequence[str]) -> Iterator[Fault]:
    places: dict[str, int] = {}
    for index, id in enumerate(ids):
        first = places.setdefault(id.lower(), index)
        if first != index:
            yield (*place, index, "id"), f"{id!r} is the id of entry {first} too: put both into one, or rename one"


def _find_model_faults(place: tuple[int | str, ...], model: PricedModel) -> Iterator[Fault]:
    entries: dict[str, Sequence[Price | Variant]] = {"prices": model.prices, "variants": model.variants}
    for name, parts in entries.items():
        for index, part in enumerate(parts):
            yield from _find_validity_faults((*place, name, index), part)
            if part.rates is not None and not part.rates:
                yield (*place, name, index, "rates"), "names no class: give at least one a rate, or leave the entry out"


def _find_validity_faults(place: tuple[int | str, ...], validity: Validity) -> Iterator[Fault]:
    since, until, daily = validity.since, validity.until, validity.daily
    if since is not None and until is not None and until <= since:
        yield (
            (*place, "until"),
            f"{until.isoformat()} is not after `since`, {since.isoformat()}, so it never holds: change one of the two",
        )
    if daily is not None and daily.start == daily.end:
        moment = daily.start.isoformat("minutes")
        yield (*place, "daily"), f"begins and ends at {moment}, so it never holds: leave it out for the whole day"
