"""Whether an event's data are what the vocabulary says, so far as a rule reads or an entry keeps them.

A door lets nothing else in; but a log has other writers, and what cannot be judged or stored is put aside here
(docs/rules.md, R4).
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from pydantic import ValidationError

from ledger.inference_fields import AMOUNT, AMOUNTS, COUNTS, LISTS, MAPS, MOST_COUNT, TEXTS
from ledger.token_classes import QUANTITY_CLASSES, TOKEN_CLASSES
from tallystick import Control
from tallystick.vocabulary.inference import ReportedTokens

_amount = re.compile(AMOUNT, re.ASCII).fullmatch
_encode = msgspec.json.Encoder().encode


def find_schema_mismatch(kind: str, data: dict[str, Any]) -> str | None:
    """The first field that is not what it must be; None where all are."""
    if kind == "control":
        return _of_control(data)
    if kind != "inference":
        return None
    for name, value in data.items():
        if name in TEXTS:
            if type(value) is not str:
                return name
        elif name in _FITS and not _FITS[name](value):
            return name
    return None


def _of_control(data: dict[str, Any]) -> str | None:
    try:
        Control.model_validate_json(_encode(data))
    except ValidationError as error:
        return ".".join(map(str, error.errors()[0]["loc"])) or "data"
    return None


def _is_text(value: Any) -> bool:
    return type(value) is str


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MOST_COUNT


def _is_amount(value: Any) -> bool:
    return type(value) is str and _amount(value) is not None


def _counts_of(names: Iterable[str]) -> Callable[[Any], bool]:
    known = frozenset(names)
    return lambda value: type(value) is dict and value.keys() <= known and all(map(_is_count, value.values()))


_FITS: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(COUNTS, _is_count),
    **dict.fromkeys(AMOUNTS, _is_amount),
    **dict.fromkeys(LISTS, lambda value: type(value) is list and all(map(_is_text, value))),
    **dict.fromkeys(MAPS, lambda value: type(value) is dict and all(map(_is_text, value.values()))),
    "tokens": _counts_of(TOKEN_CLASSES),
    "quantities": _counts_of(QUANTITY_CLASSES),
    "reported_tokens": _counts_of(ReportedTokens.model_fields),
}
