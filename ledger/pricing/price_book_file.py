"""Read a price book that a person wrote, as YAML or JSON."""

from pathlib import Path

import yaml
from pydantic import ValidationError

from ledger.errors import TallyError
from ledger.pricing.genai_prices import _completed
from ledger.pricing.price_book import PriceBook
from ledger.yaml_files import read_yaml


def from_file(path: Path) -> PriceBook:
    """A book that a person wrote: see :func:`from_text`. TallyError where it cannot be read."""
    try:
        return from_text(path.read_text(), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise TallyError(f"cannot read the price book {path}: {error}") from error


def from_text(text: str, name: str) -> PriceBook:
    """A book from YAML or JSON in the shape of :class:`PriceBook`; ``match`` may be left out and means the id.

    Classes without a rate take the rate of the class they fall back on (``ledger.classes.PRICED_AS``).
    TallyError names the field that is wrong.
    """
    try:
        content = read_yaml(text)
        for provider in content["providers"]:
            for model in provider["models"]:
                model.setdefault("match", {"equals": model["id"]})
                for price in model["prices"]:
                    price["rates"] = _completed(price["rates"])
        return PriceBook.model_validate({"origin": "a file"} | content, strict=False)
    except yaml.YAMLError as error:
        said = " ".join(str(error).split())
        raise TallyError(f"price book {name} is not YAML: {said}") from error
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        if not isinstance(error, ValidationError):
            lacking = f" (it lacks {error})" if isinstance(error, KeyError) else ""
            raise TallyError(f"price book {name} has not the shape of a book{lacking}: see docs/prices.md") from error
        first = max(error.errors(), key=lambda one: len(one["loc"]))  # of alternatives, the one that went farthest
        where = ".".join(map(str, first["loc"]))
        said = "" if isinstance(first["input"], dict | list | tuple) else f", and is {first['input']!r}"
        raise TallyError(f"price book {name}, {where}: {first['msg'].removeprefix('Value error, ')}{said}") from error
