"""The entry of a counted inference, which the folds after rating receive, and changes of entries."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec

from streams.folds.call import Dimensions
from streams.folds.documents import Document
from streams.folds.event import Event, ParsedRecord
from streams.folds.identity import EventPosition, EventVersion

Documents = Callable[[str], Document]
"""The document of a hash, such as a price book; it raises TallyError where the log does not hold it."""


Originals = Callable[[int, int], bytes]
"""The line of ``tally.events`` at an offset and event index of the partition, before the event that is being folded.
LogDamaged where the log does not hold it."""

History = Callable[[int, int], Iterable[ParsedRecord]]
"""The records of ``tally.events`` from an offset of the partition up to another, before the event that is being folded.
LogDamaged where the log does not hold one."""


class Line(msgspec.Struct, gc=False):
    """The quantity and costs of a token class, as written on tally.entries."""

    name: str = msgspec.field(name="class")
    quantity: int | msgspec.Raw
    unit_price: str | None = None
    list_cost: str | None = None
    contracted_cost: str | None = None
    effective_cost: str | None = None
    billed_cost: str | None = None


class BoundedLine(Line, gc=False):
    """The line of a class without a rate, with the most that it may cost at list price."""

    greatest_cost: str = ""


class Rated(msgspec.Struct, omit_defaults=True, gc=False, kw_only=True):
    """The costs and the price of an inference, as written on tally.entries behind the dimensions.

    ``greatest_unpriced_cost`` is the most that everything without a price may cost at list price, beside the cost of
    the lines; absent where nothing bounds it. ``unknown_tokens`` are told, and stand in no line. ``saved_cost`` is the
    list cost of a call that a gateway's cache answered, had it not; absent where not all of it is known.
    """

    unpriced_reason: str | None = None
    currency: str | None = None
    price_document: str | None = None
    price_id: str | None = None
    tier_basis: str | None = None
    contract_id: str | None = None
    pricing: str
    greatest_unpriced_cost: str | None = None
    unknown_tokens: int | None = None
    saved_cost: str | None = None
    lines: list[Line]


class Unpriced(NamedTuple):
    """The usage of an inference whose spend is not known: calls, tokens that are told, and the most that they may cost,
    in pico; None where nothing bounds it."""

    calls: int
    tokens: int
    greatest_cost: int | None


class Entry(NamedTuple):
    """The cost of an inference, in pico; unpriced classes add nothing. ``rated`` is a ``Rated`` as JSON.

    ``unpriced`` is absent where the whole list cost is known; ``unknown_spend`` also on a customer's own key, which is
    billed nothing.
    """

    dimensions: Dimensions
    rated: bytes
    currency: str | None = None
    list_cost: int = 0
    billed_cost: int = 0
    unpriced: Unpriced | None = None

    @property
    def unknown_spend(self) -> Unpriced | None:
        """Return what is not known of the billed cost."""
        return None if self.dimensions.payer == "customer" else self.unpriced


class RatedCall(NamedTuple):
    """A call with its entry, the position that the entry's line has, and whether windows of budgets may hold it."""

    event: Event
    entry: Entry
    position: EventPosition
    is_in_windows: bool = True


class EntryChange(NamedTuple):
    """A change of the entries: one that is taken back, one that is added, or both.

    ``reason`` is a correction's action, a revision or a restatement; ``corrected`` the position of the event that a
    correction names, or of the entry that is restated; ``target`` the identity that it names, and the version that it
    leaves there; ``leaves`` the outcome that the event leaves which is added."""

    reason: str
    reversed: RatedCall | None
    added: RatedCall | None = None
    corrected: EventPosition | None = None
    target: tuple[bytes, EventVersion] | None = None
    leaves: str | None = None
