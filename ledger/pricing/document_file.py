"""Read documents that people write as YAML or JSON (price books, contracts, rules), and say what is wrong with one in
plain words."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ledger.errors import TallyError
from ledger.yaml_files import DuplicateKey, read_yaml

PRICE_BOOK = "price book"
CONTRACT = "contract"
RULES = "document of runaway rules"
_FIELDS = {
    PRICE_BOOK: "`name`, `currency` and `providers`",
    CONTRACT: "`name`, `currency`, and `terms` or `commitments`",
    RULES: "`page_above` and `detectors`",
}
_COMMANDS = {
    PRICE_BOOK: "adopt it with `tally price adopt",
    CONTRACT: "sign it with `tally contract sign",
    RULES: "adopt it with `tally runaways adopt",
}
_PAGES = {PRICE_BOOK: "docs/prices.md", CONTRACT: "docs/prices.md", RULES: "docs/runaways.md"}
_GENERAL = frozenset(("missing", "extra_forbidden"))
"""Types of errors that say less than another one at the same place."""
_TIMES = frozenset(("since", "until"))
_SENTENCES = {
    "missing": "is missing",
    "extra_forbidden": "is no field that is known here: check how it is written",
    "string_type": "must be text: put it in quotes",
    "string_too_short": "must not be empty",
    "tuple_type": "must be a list: begin each of its entries with a dash",
    "dict_type": "must be a mapping of fields",
    "model_type": "must be a mapping of fields",
    "model_attributes_type": "must be a mapping of fields",
    "too_short": "must have at least one entry",
    "string_pattern_mismatch": "must be a currency in three capital letters, such as USD",
    "decimal_type": "must be a number, such as 0.25",
    "decimal_parsing": "must be a number, such as 0.25",
}


def parse_mapping(text: str, name: str, kind: str) -> dict[str, Any]:
    """Parse the fields of a document of a kind. TallyError where the text has none, or is one of another kind."""
    try:
        content = read_yaml(text)
    except DuplicateKey as error:
        raise TallyError(f"{kind} {name}, {error}") from error
    except yaml.YAMLError as error:
        detail = " ".join(str(error).split())
        raise TallyError(f"{kind} {name} is not YAML: {detail}") from error
    except (ValueError, RecursionError) as error:
        raise build_shape_error(name, kind, error) from error
    if not isinstance(content, dict) or not content:
        form = "is empty" if not content else f"is {'a list' if isinstance(content, list) else 'a single value'}"
        raise TallyError(f"{kind} {name} {form}: write the fields {_FIELDS[kind]} ({_PAGES[kind]})")
    if (actual := _find_kind(content)) not in (None, kind):
        raise TallyError(f"{name} is a {actual}, not a {kind}: {_COMMANDS[actual or kind]} {name}`")
    return content


def _find_kind(content: Mapping[str, Any]) -> str | None:
    """Return the kind that a document's fields are of; None where they do not tell."""
    if "kind" in content:
        return {"price_book": PRICE_BOOK, "contract": CONTRACT, "runaway_rules": RULES}.get(str(content["kind"]))
    has_terms, has_providers = "terms" in content or "commitments" in content, "providers" in content
    if has_terms == has_providers:
        return None
    return CONTRACT if has_terms else PRICE_BOOK


def build_shape_error(name: str, kind: str, error: Exception) -> TallyError:
    """Build the error of a document that cannot be read at all, such as one nested without end."""
    detail = "it is nested too deep" if isinstance(error, RecursionError) else " ".join(str(error).split())
    return TallyError(f"{kind} {name} has not the shape of a {kind} ({detail}): see {_PAGES[kind]}")


def build_field_error(name: str, kind: str, content: Mapping[str, Any], error: ValidationError) -> TallyError:
    """Build the error of a field: its path in the file, its value, and what it must be. Of alternatives, the error that
    went farthest says most."""
    errors = [(_find_path(content, details), details) for details in error.errors()]
    path, details = max(errors, key=lambda pair: _rank_error(*pair))
    if details["type"] == "missing":
        path = [*path, details["loc"][-1]]
    return describe_field(name, kind, path, _describe_error(details), _describe_value(details))


def describe_field(name: str, kind: str, path: Sequence[int | str], sentence: str, value: str = "") -> TallyError:
    """Build the error of the field at a path."""
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
    return TallyError(f"{kind} {name}, {place or 'the whole'}{value}: {sentence} ({_PAGES[kind]})")


def _rank_error(path: Sequence[int | str], details: ErrorDetails) -> tuple[int, bool]:
    """Rank an error by how far it went: an unknown field no farther than the mapping that it stands in."""
    return len(path) - (details["type"] == "extra_forbidden"), details["type"] not in _GENERAL


def _find_path(content: Any, details: ErrorDetails) -> list[int | str]:
    """Return the part of an error's location that stands in the file. The rest names types, which no reader knows."""
    path: list[int | str] = []
    node = content
    for part in details["loc"]:
        is_index = isinstance(node, list | tuple) and isinstance(part, int) and part < len(node)
        if is_index or (isinstance(node, dict) and part in node):
            path.append(part)
            node = node[part]
    return path


def _describe_error(details: ErrorDetails) -> str:
    name, kind = details["loc"][-1] if details["loc"] else "", details["type"]
    message = details["msg"].removeprefix("Value error, ")
    if name in _TIMES and "must lie between" not in message:
        return "write a time with a zone, for example 2026-12-01T00:00:00Z"
    if kind.startswith("decimal_") and isinstance(details["input"], dict):
        return "must be a number, or have `base` and `tiers`, or `per_hour` alone"
    return _SENTENCES.get(kind) or message.replace("Input should be", "must be").replace(
        "Decimal input should have", "must have"
    )


def _describe_value(details: ErrorDetails) -> str:
    value = details["input"]
    if details["type"] == "missing":
        return ""
    if value is None:
        return " is empty"
    if isinstance(value, str | int | float):
        return f" is {value!r}"
    return f" is '{value.isoformat()}'" if isinstance(value, datetime) else ""
