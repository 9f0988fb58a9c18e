"""Read a price book that a person wrote, as YAML or JSON."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from ledger.errors import TallyError
from ledger.pricing.price_book import PriceBook
from ledger.token_classes import PRICED_AS
from ledger.yaml_files import read_yaml

Extend = Callable[[dict[str, Any]], None]
"""Complete the content of a book in place."""


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
    field that is wrong."""
    try:
        content = read_yaml(text)
        if extend is not None:
            extend(content)
        for provider in content["providers"]:
            for model in provider["models"]:
                model.setdefault("match", {"equals": model["id"]})
        fallbacks = {"priced_as": PRICED_AS | content.get("priced_as", {})}
        return PriceBook.model_validate({"origin": "a file"} | content | fallbacks, strict=False)
    except yaml.YAMLError as error:
        detail = " ".join(str(error).split())
        raise TallyError(f"price book {name} is not YAML: {detail}") from error
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        if not isinstance(error, ValidationError):
            missing = f" ({error} is missing)" if isinstance(error, KeyError) else ""
            raise TallyError(f"price book {name} has not the shape of a book{missing}: see docs/prices.md") from error
        first = max(error.errors(), key=lambda entry: len(entry["loc"]))  # of alternatives, the one that went farthest
        location = ".".join(map(str, first["loc"]))
        detail = "" if isinstance(first["input"], dict | list | tuple) else f", and is {first['input']!r}"
        raise TallyError(
            f"price book {name}, {location}: {first['msg'].removeprefix('Value error, ')}{detail}"
        ) from error
