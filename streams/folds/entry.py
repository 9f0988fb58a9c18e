"""What a counted inference cost: the entry that the other folds are given."""

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from streams.folds.call import Dimensions
from streams.folds.price_lookup import Catalogue

Documents = Callable[[str], Catalogue]
"""The price book of a document's hash; it raises TallyError where the log does not hold it."""


class Line(msgspec.Struct, gc=False):
    """What was used of a class, and what it cost, as it stands on tally.entries."""

    name: str = msgspec.field(name="class")
    quantity: int | msgspec.Raw
    unit_price: str | None = None
    list_cost: str | None = None
    contracted_cost: str | None = None
    effective_cost: str | None = None
    billed_cost: str | None = None


class Rated(msgspec.Struct, omit_defaults=True, gc=False, kw_only=True):
    """What it cost and by which price, as that stands on tally.entries behind the dimensions."""

    unpriced_reason: str | None = None
    currency: str | None = None
    price_document: str | None = None
    price_id: str | None = None
    pricing: str
    lines: list[Line]


class Entry(NamedTuple):
    """What a counted inference cost, in pico; unpriced classes add nothing. ``rated`` is that as JSON."""

    dimensions: Dimensions
    rated: bytes
    currency: str | None = None
    list_cost: int = 0
    billed_cost: int = 0
