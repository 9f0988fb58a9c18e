"""What a field of an inference is on the log, by the vocabulary, for who reads lines without it.

Text, a whole number from 0 to ``MOST_COUNT``, or an exact decimal written as text. Of the other fields only those
are named that an entry keeps: a list and a map of texts.
"""

from decimal import Decimal
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from tallystick import Inference

MAX_COUNT = 10**12
AMOUNT_PATTERN = r"\d{1,26}(\.\d{1,12})?"
"""How an exact decimal is written: what fits ``Decimal(38, 12)``."""


def _strip_annotation(annotation: Any) -> Any:
    """The type beneath what a field's annotation says of bounds and of being optional."""
    while get_origin(annotation) in (Annotated, Union, UnionType):
        annotation = get_args(annotation)[0]
    return str if get_origin(annotation) is Literal else annotation


_TYPES = {name: _strip_annotation(field.annotation) for name, field in Inference.model_fields.items()}
TEXTS = frozenset(name for name, field_type in _TYPES.items() if field_type is str)
COUNTS = frozenset(name for name, field_type in _TYPES.items() if field_type is int)
AMOUNTS = frozenset(name for name, field_type in _TYPES.items() if field_type is Decimal)
LISTS = frozenset({"acting_for"})
MAPS = frozenset({"tags"})
