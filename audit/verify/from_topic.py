"""What ``tally.entries`` says, read line by line."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from audit.verify import row_checksums
from audit.verify.totals import COSTS, Group, Sum, Totals
from ledger.log import Record

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def add(totals: Totals, record: Record) -> None:
    """Add what one record of the topic says."""
    for line in record.value.split(b"\n"):
        said = json.loads(line)
        if said["outcome"] == "record":
            names = ("partition", "offset", "accepted_ms", "organization", "channel", "received", "refused")
            framed = row_checksums.record(*(said[name] for name in names))
            totals.record(said["organization"], said["received"], said["refused"], framed)
            continue
        first = (said["original_offset"], said["original_index"]) if "original_offset" in said else None
        contents_of_event = row_checksums.event(_of(said), said["outcome"], said["kind"], said.get("reason"), first)
        totals.outcome(said["organization"], said["kind"], said["outcome"], contents_of_event)
        for line in said.get("lines", ()):
            totals.add(_group(said, line), _sum(said, line))


def _of(said: dict[str, Any]) -> row_checksums.Of:
    return row_checksums.Of(
        said["partition"], said["offset"], said["event_index"], said["accepted_ms"], said["organization"],
        said.get("source"), said.get("id"), said.get("time_us"),
    )  # fmt: skip


def _group(said: dict[str, Any], line: dict[str, Any]) -> Group:
    day = (EPOCH + timedelta(microseconds=said["time_us"])).date().isoformat()
    model = said.get("model_resolved") or said.get("model") or ""
    return Group(said["organization"], day, model, line["class"], said.get("currency", ""))


def _sum(said: dict[str, Any], line: dict[str, Any]) -> Sum:
    prices = [None if line[field] is None else Decimal(line[field]) for field in ("unit_price", *COSTS)]
    priced = (said.get("currency"), said.get("price_document"), said.get("price_id"))
    all_said = row_checksums.entry(_of(said), said, priced, (line["class"], line["quantity"], *prices))
    return Sum(1, all_said, line["quantity"], *(price or Decimal(0) for price in prices[1:]))
