"""The type of each field of an inference on the log, from the vocabulary, for code that reads lines without it.

Text, a whole number from 0 to ``MAX_COUNT``, or an exact decimal written as text. Of the other fields only those are
named that an entry keeps: a list and a map of texts."""

from decimal import Decimal
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from tallystick import Inference

MAX_COUNT = 10**12
AMOUNT_PATTERN = r"\d{1,26}(\.\d{1,12})?"
"""The form of an exact decimal: a number that fits ``Decimal(38, 12)``."""


def _strip_annotation(annotation: Any) -> Any:
    """Return the type beneath an annotation's bounds and ``None``."""
    while get_origin(annotation) in (Annotated, Union, UnionType):
        annotation = get_args(annotation)[0]
    return str if get_origin(annotation) is Literal else annotation


_TYPES = {name: _strip_annotation(field.annotation) for name, field in Inference.model_fields.items()}
TEXTS = frozenset(name for name, field_type in _TYPES.items() if field_type is str)
COUNTS = frozenset(name for name, field_type in _TYPES.items() if field_type is int)
AMOUNTS = frozenset(name for name, field_type in _TYPES.items() if field_type is Decimal)
LISTS = frozenset({"acting_for", "left_out"})
MAPS = frozenset({"tags"})
