"""Read the totals of ``tally.entries``, line by line."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from audit.verify import row_checksums
from audit.verify.totals import COSTS, Group, Sum, Totals
from ledger.log import Record
from ledger.outcomes import RESTATEMENT, REVERSAL

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def add_record(totals: Totals, record: Record) -> None:
    """Add the lines of one record to the totals."""
    for line in record.value.split(b"\n"):
        fields = json.loads(line)
        if fields["outcome"] == "record":
            names = ("partition", "offset", "accepted_ms", "organization", "channel", "received", "refused")
            record_checksum = row_checksums.hash_record(*(fields[name] for name in names))
            totals.record(fields["organization"], fields["received"], fields["refused"], record_checksum)
            continue
        original = (fields["original_offset"], fields["original_index"]) if "original_offset" in fields else None
        event_checksum = row_checksums.hash_event(
            _row_identity(fields),
            fields["outcome"],
            fields["kind"],
            fields.get("reason"),
            original,
            _read_amounts(fields),
        )
        totals.outcome(fields["organization"], fields["kind"], fields["outcome"], fields.get("reason"), event_checksum)
        changed_entry = original if fields["outcome"] in (REVERSAL, RESTATEMENT) else None
        change = row_checksums.EntryChange(fields["outcome"], changed_entry, fields.get("billing_month"))
        for line in fields.get("lines", ()):
            totals.add(_group(fields, line), _sum(fields, line, change))


def _read_amounts(fields: dict[str, Any]) -> row_checksums.Amounts:
    amounts = row_checksums.Amounts(*(fields.get(name) for name in row_checksums.Amounts._fields))
    greatest, saved = amounts.greatest_unpriced_cost, amounts.saved_cost
    return amounts._replace(
        greatest_unpriced_cost=None if greatest is None else Decimal(greatest),
        saved_cost=None if saved is None else Decimal(saved),
    )


def _row_identity(fields: dict[str, Any]) -> row_checksums.RowIdentity:
    return row_checksums.RowIdentity(
        fields["partition"], fields["offset"], fields["event_index"], fields["accepted_ms"], fields["organization"],
        fields.get("source"), fields.get("id"), fields.get("time_us"),
    )  # fmt: skip


def _group(fields: dict[str, Any], line: dict[str, Any]) -> Group:
    day = (EPOCH + timedelta(microseconds=fields["time_us"])).date().isoformat()
    model = fields.get("model_resolved") or fields.get("model") or ""
    return Group(fields["organization"], day, model, line["class"], fields.get("currency", ""))


def _sum(fields: dict[str, Any], line: dict[str, Any], change: row_checksums.EntryChange) -> Sum:
    prices = [None if line[field] is None else Decimal(line[field]) for field in ("unit_price", *COSTS)]
    greatest_cost = Decimal(line["greatest_cost"]) if "greatest_cost" in line else None
    price_fields = [
        fields.get(name) for name in ("currency", "price_document", "price_id", "tier_basis", "contract_id")
    ]
    checksum = row_checksums.hash_entry(
        _row_identity(fields), change, fields, price_fields, (line["class"], line["quantity"], *prices, greatest_cost)
    )
    return Sum(1, checksum, line["quantity"], *(price or Decimal(0) for price in prices[1:]))
