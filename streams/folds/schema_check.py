"""Check an event's data against the vocabulary, as far as a rule reads or an entry repeats them.

The intake accepts nothing else, but a log has other writers: data that cannot be judged or stored are quarantined here
(docs/rules.md, R4).
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from pydantic import ValidationError

from ledger.inference_fields import AMOUNT_PATTERN, AMOUNTS, COUNTS, LISTS, MAPS, MAX_COUNT, TEXTS
from ledger.token_classes import QUANTITY_CLASSES, TOKEN_CLASSES
from tallystick import Admission, Control, Correction, Lease
from tallystick.vocabulary.base import Model
from tallystick.vocabulary.inference import ReportedTokens

_amount = re.compile(AMOUNT_PATTERN, re.ASCII).fullmatch
_CHECKED_MODELS: dict[str, type[Model]] = {"control": Control, "admission": Admission, "lease": Lease}
_encode = msgspec.json.Encoder().encode


def find_schema_mismatch(kind: str, data: dict[str, Any]) -> str | None:
    """Return the first field that does not fit the vocabulary; None where all do."""
    if kind in _CHECKED_MODELS:
        return _find_model_mismatch(_CHECKED_MODELS[kind], data)
    if kind == "correction":
        return _find_model_mismatch(Correction, data) or _find_replacement_mismatch(data)
    if kind != "inference":
        return None
    for name, value in data.items():
        if name in TEXTS:
            if type(value) is not str:
                return name
        elif name in _FIELD_CHECKS and not _FIELD_CHECKS[name](value):
            return name
    return None


def _find_replacement_mismatch(data: dict[str, Any]) -> str | None:
    field = find_schema_mismatch("inference", data.get("replacement") or {})
    return None if field is None else f"replacement.{field}"


def _find_model_mismatch(model: type[Model], data: dict[str, Any]) -> str | None:
    try:
        model.model_validate_json(_encode(data))
    except ValidationError as error:
        return ".".join(map(str, error.errors()[0]["loc"])) or "data"
    return None


def _is_text(value: Any) -> bool:
    return type(value) is str


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MAX_COUNT


def _is_amount(value: Any) -> bool:
    return type(value) is str and _amount(value) is not None


def _build_counts_check(names: Iterable[str]) -> Callable[[Any], bool]:
    allowed_names = frozenset(names)
    return lambda value: type(value) is dict and value.keys() <= allowed_names and all(map(_is_count, value.values()))


_FIELD_CHECKS: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(COUNTS, _is_count),
    **dict.fromkeys(AMOUNTS, _is_amount),
    **dict.fromkeys(LISTS, lambda value: type(value) is list and all(map(_is_text, value))),
    **dict.fromkeys(MAPS, lambda value: type(value) is dict and all(map(_is_text, value.values()))),
    "tokens": _build_counts_check(TOKEN_CLASSES),
    "quantities": _build_counts_check(QUANTITY_CLASSES),
    "reported_tokens": _build_counts_check(ReportedTokens.model_fields),
}
