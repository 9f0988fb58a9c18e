"""Checksums of rows: a difference in any column changes the number.

The columns' texts are hashed (MD5, its first eight bytes, little-endian), and the hashes of many rows are added modulo
2^64, so the sum does not depend on their order. Python and ClickHouse do the same; absent is the empty text. Amounts
have twelve digits after the point.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from ledger import dimensions

MODULUS = 1 << 64
SEPARATOR = "\x1f"
DIMENSIONS = tuple(field.name for field in dimensions.DIMENSIONS)
"""The fields of a call that its entries repeat."""
ATTRIBUTES = tuple(field.name for field in dimensions.ATTRIBUTES)
_TYPES = {field.name: field.type for field in (*dimensions.DIMENSIONS, *dimensions.ATTRIBUTES)}
_COMPOUND = frozenset(
    name for name, type in _TYPES.items() if type in (dimensions.LIST, dimensions.MAP, dimensions.AMOUNT)
)
NO_DIMENSIONS, NO_ATTRIBUTES = (SEPARATOR * (len(names) - 1) for names in (DIMENSIONS, ATTRIBUTES))
_ZERO = "0.000000000000"


class EventText(NamedTuple):
    """The columns' texts of an event: those that its entries share, its dimensions, and those of its price."""

    identity: str
    dimensions: str
    price: str


def write_identity(*columns: Any) -> str:
    """Write partition, offset, event index, time of acceptance, organization, source, id, time, outcome and the month
    in which it is billed."""
    return write_columns(columns)


def write_columns(columns: Iterable[Any]) -> str:
    return SEPARATOR.join(["" if value is None else str(value) for value in columns])


def write_dimensions(call: Mapping[str, Any]) -> str:
    """Write the fields of a call that its entries repeat."""
    get = call.get
    values = [get(name, "") for name in DIMENSIONS]
    try:
        return SEPARATOR.join(values)
    except TypeError:  # a number is among them, which is rare
        return SEPARATOR.join(map(str, values))


def write_attributes(call: Mapping[str, Any]) -> str:
    """Write the other fields of a call that the warehouse keeps."""
    if not _COMPOUND.isdisjoint(call):
        call = {name: _write_compound(call[name]) if name in _COMPOUND else call[name] for name in call}
    get = call.get
    return SEPARATOR.join([str(get(name, "")) for name in ATTRIBUTES])


def _write_compound(value: Any) -> str:
    """Write a list in its order, a map in the order of its keys, and a number without needless digits."""
    if isinstance(value, Mapping):
        return ",".join(sorted(f"{key}={item}" for key, item in value.items()))
    return ",".join(value) if isinstance(value, Sequence) and not isinstance(value, str) else write_amount(value)


def write_amount(amount: Decimal | str | None) -> str:
    """Write an amount with twelve digits after the point; nothing where there is none."""
    if amount is None:
        return ""
    if isinstance(amount, str):
        if amount[-13:-12] == "." and amount[-14:-13].isdigit() and amount.isascii():
            return amount
        amount = Decimal(amount)
    return f"{amount:.12f}" if amount else _ZERO


def write_costs(costs: Sequence[Any]) -> tuple[list[str], list[int]]:
    """Write costs, and return them in 10^-12 too. Most are all the same."""
    if costs[0] == costs[1] == costs[2] == costs[3]:
        texts = [write_amount(costs[0])] * 4
        return texts, [int(texts[0].replace(".", "")) if texts[0] else 0] * 4
    texts = [write_amount(cost) for cost in costs]
    return texts, [int(text.replace(".", "")) if text else 0 for text in texts]


def hash_event(
    text: EventText, names: Iterable[Any], original: tuple[int, int] | None, amounts: Iterable[Any], attributes: str
) -> int:
    """Hash the outcome of an event. ``names``: kind, reason, pricing and the reason why not all is priced.
    ``amounts``: unknown tokens, the most that the unpriced may cost, and what a cache saved."""
    return hash_text(
        f"{text.identity}{SEPARATOR}{write_columns((*names, *(original or ('', '')), *amounts))}{SEPARATOR}"
        f"{text.price}{SEPARATOR}{text.dimensions}{SEPARATOR}{attributes}"
    )


def begin_entries(text: EventText, contract_id: str | None, changed: tuple[int, int] | None) -> str:
    """Write what the entries of an event have in common. ``changed``: the entry that they take back or restate."""
    position = f"{changed[0]}{SEPARATOR}{changed[1]}" if changed else SEPARATOR
    return SEPARATOR.join((text.identity, position, text.dimensions, text.price, contract_id or "", ""))


def hash_record(*columns: Any) -> int:
    """Hash the counts of a record: partition, offset, time of acceptance, organization, channel, received, refused."""
    return hash_text(write_columns(columns))


def hash_text(text: str) -> int:
    return int.from_bytes(hashlib.md5(text.encode(), usedforsecurity=False).digest()[:8], "little")


def build_checksum_sql(columns: Iterable[str]) -> str:
    texts = ", char(31), ".join(columns)
    return f"sum(reinterpretAsUInt64(substring(MD5(concat({texts})), 1, 8)))"


def text_sql(column: str, type: str = "String") -> str:
    """Return SQL that writes a column of a type as Python does."""
    if type == dimensions.LIST:
        return f"arrayStringConcat({column}, ',')"
    if type == dimensions.MAP:
        items = f"arrayMap((k, v) -> concat(k, '=', v), mapKeys({column}), mapValues({column}))"
        return f"arrayStringConcat(arraySort({items}), ',')"
    if type == dimensions.AMOUNT:
        return f"ifNull(toDecimalString({column}, 12), '')"
    return f"ifNull(toString({column}), '')"


def _texts(*columns: str) -> list[str]:
    return [text_sql(column, _TYPES.get(column, "String")) for column in columns]


def _quote(names: Iterable[str]) -> list[str]:
    return [text_sql(f"`{name}`", _TYPES[name]) for name in names]


def _amounts(*columns: str) -> list[str]:
    return [text_sql(column, dimensions.AMOUNT) for column in columns]


_PLACE = ("partition", "offset", "event_index", "toUnixTimestamp64Milli(accepted_at)", "organization", "source", "id")
_PRICE = ("currency", "price_document", "price_id", "tier_basis")
EVENTS_SQL = build_checksum_sql([
    *_texts(*_PLACE, "if(kind = 'unknown', NULL, toUnixTimestamp64Micro(time))", "outcome", "billing_month"),
    *_texts("kind", "reason", "pricing", "unpriced_reason", "original_offset", "original_index", "unknown_tokens"),
    *_amounts("greatest_unpriced_cost", "saved_cost"),
    *_texts(*_PRICE), *_quote(DIMENSIONS), *_quote(ATTRIBUTES),
])  # fmt: skip
RECORDS_SQL = build_checksum_sql(
    _texts("partition", "offset", "toUnixTimestamp64Milli(accepted_at)", "organization", "channel", "received",
           "refused")
)  # fmt: skip
ENTRIES_SQL = build_checksum_sql([
    *_texts(*_PLACE, "toUnixTimestamp64Micro(time)", "outcome", "billing_month", "original_offset", "original_index"),
    *_quote(DIMENSIONS), *_texts(*_PRICE, "contract_id", "class", "quantity"),
    *_amounts("unit_price", "list_cost", "contracted_cost", "effective_cost", "billed_cost", "greatest_cost"),
])  # fmt: skip
