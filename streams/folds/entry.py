"""The entry of a counted inference, which the folds after rating receive, and changes of entries."""

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from streams.folds.call import Dimensions
from streams.folds.event import Event
from streams.folds.identity import EventPosition, EventVersion
from streams.folds.price_lookup import Catalogue

Documents = Callable[[str], Catalogue]
"""The price book of a document's hash; it raises TallyError where the log does not hold it."""


Originals = Callable[[int, int], bytes]
"""The line of ``tally.events`` at an offset and event index of the partition, before the event that is being folded.
LogDamaged where the log does not hold it."""


class Line(msgspec.Struct, gc=False):
    """The quantity and costs of a token class, as written on tally.entries."""

    name: str = msgspec.field(name="class")
    quantity: int | msgspec.Raw
    unit_price: str | None = None
    list_cost: str | None = None
    contracted_cost: str | None = None
    effective_cost: str | None = None
    billed_cost: str | None = None


class Rated(msgspec.Struct, omit_defaults=True, gc=False, kw_only=True):
    """The costs and the price of an inference, as written on tally.entries behind the dimensions."""

    unpriced_reason: str | None = None
    currency: str | None = None
    price_document: str | None = None
    price_id: str | None = None
    pricing: str
    lines: list[Line]


class Entry(NamedTuple):
    """The cost of a counted inference, in pico; unpriced classes add nothing. ``rated`` is a ``Rated`` as JSON."""

    dimensions: Dimensions
    rated: bytes
    currency: str | None = None
    list_cost: int = 0
    billed_cost: int = 0


class RatedCall(NamedTuple):
    """A call with its entry, and the position that the entry has."""

    event: Event
    entry: Entry
    position: EventPosition


class EntryChange(NamedTuple):
    """A change of the entries: one that is taken back, one that is added, or both.

    ``reason`` is a reversal, a replacement or a revision; ``corrected`` the position of the event that a correction
    names; ``target`` the identity that it names, and the version that it leaves there."""

    reason: str
    reversed: RatedCall | None
    added: RatedCall | None = None
    corrected: EventPosition | None = None
    target: tuple[bytes, EventVersion] | None = None
