"""Checksums of rows: a difference in any column changes the number.

The columns' texts are hashed (MD5, its first eight bytes, little-endian), and the hashes of many rows are added modulo
2^64, so the sum does not depend on their order. Python and ClickHouse do the same; absent is the empty text.
"""

import hashlib
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from ledger import dimensions

MODULUS = 1 << 64
SEPARATOR = "\x1f"
EVENT_FIELDS = tuple(dimension.name for dimension in dimensions.DIMENSIONS)
"""The fields of an event that its entries repeat."""


class Amounts(NamedTuple):
    """What an event says of its usage: how much is priced, why not all is, what is not known of it, what a cache saved,
    and the month in which it is billed where that is not the month of its time."""

    pricing: str | None = None
    unpriced_reason: str | None = None
    tier_basis: str | None = None
    unknown_tokens: int | None = None
    greatest_unpriced_cost: Decimal | None = None
    saved_cost: Decimal | None = None
    billing_month: str | None = None


class EntryChange(NamedTuple):
    """What an entry changes: its outcome, the position of the entry that it takes back or restates, and the month in
    which it is billed where that is not the month of its time."""

    outcome: str
    original: tuple[int, int] | None
    billing_month: str | None


class RowIdentity(NamedTuple):
    """The identity of a row: its position on the log, and the event there."""

    partition: int
    offset: int
    event_index: int
    accepted_ms: int
    organization: str
    source: str | None
    id: str | None
    time_us: int | None


def hash_event(
    identity: RowIdentity,
    outcome: str,
    kind: str,
    reason: str | None,
    original: tuple[int, int] | None,
    amounts: Amounts,
) -> int:
    """Hash the outcome of an event."""
    figures = map(_format_decimal, amounts)
    return _hash_values((*identity, outcome, kind, reason, *(original or ("", "")), *figures))


def hash_entry(
    identity: RowIdentity,
    change: EntryChange,
    fields: Mapping[str, Any],
    price_fields: Iterable[str | None],
    figures: Iterable[Any],
) -> int:
    """Hash an entry.

    ``price_fields``: currency, document, price id, tier basis, contract id. ``figures``: class, quantity, unit price,
    four costs, and the most that an unpriced one may cost.
    """
    event_fields = (fields.get(name) for name in EVENT_FIELDS)
    return _hash_values(
        (
            *identity,
            change.outcome,
            *(change.original or ("", "")),
            change.billing_month,
            *event_fields,
            *price_fields,
            *map(_format_decimal, figures),
        )
    )


def hash_record(
    partition: int, offset: int, accepted_ms: int, organization: str, channel: str, received: int, refused: int
) -> int:
    """Hash the counts of a record."""
    return _hash_values((partition, offset, accepted_ms, organization, channel, received, refused))


def _hash_values(values: Iterable[Any]) -> int:
    text = SEPARATOR.join("" if value is None else str(value) for value in values)
    return int.from_bytes(hashlib.md5(text.encode(), usedforsecurity=False).digest()[:8], "little")


def _format_decimal(value: Any) -> Any:
    """Write a decimal as ClickHouse does, without trailing zeros."""
    return format(value.normalize(), "f") if isinstance(value, Decimal) else value


def _build_checksum_sql(*columns: str) -> str:
    texts = ", ".join(f"ifNull(toString({column}), '')" for column in columns)
    return f"sum(reinterpretAsUInt64(substring(MD5(arrayStringConcat([{texts}], char(31))), 1, 8)))"


_IDENTITY_COLUMNS = (
    "partition", "offset", "event_index", "toUnixTimestamp64Milli(accepted_at)", "organization", "source", "id",
)  # fmt: skip
EVENTS_SQL = _build_checksum_sql(
    *_IDENTITY_COLUMNS, "if(kind = 'unknown', NULL, toUnixTimestamp64Micro(time))", "outcome", "kind", "reason",
    "original_offset", "original_index", *Amounts._fields,
)  # fmt: skip
RECORDS_SQL = _build_checksum_sql(
    "partition", "offset", "toUnixTimestamp64Milli(accepted_at)", "organization", "channel", "received", "refused"
)
ENTRIES_SQL = _build_checksum_sql(
    *_IDENTITY_COLUMNS, "toUnixTimestamp64Micro(time)", "outcome", "original_offset", "original_index",
    "billing_month", *EVENT_FIELDS, "currency", "price_document", "price_id", "tier_basis", "contract_id", "class",
    "quantity", "unit_price", "list_cost", "contracted_cost", "effective_cost", "billed_cost", "greatest_cost",
)  # fmt: skip
