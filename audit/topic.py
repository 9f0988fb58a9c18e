"""What ``tally.entries`` says, read line by line."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from audit.totals import Group, Sum, Totals
from ledger.log import Record

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def add(totals: Totals, record: Record) -> None:
    """Add what one record of the topic says."""
    for line in record.value.split(b"\n"):
        said = json.loads(line)
        if said["outcome"] == "record":
            totals.record(said["organization"], said["received"], said["refused"])
            continue
        totals.outcome(said["organization"], said["kind"], said["outcome"])
        for entry in said.get("lines", ()):
            totals.add(_group(said, entry), _sum(entry))


def _group(said: dict[str, Any], entry: dict[str, Any]) -> Group:
    day = (EPOCH + timedelta(microseconds=said["time_us"])).date().isoformat()
    model = said.get("model_resolved") or said.get("model") or ""
    return Group(said["organization"], day, model, entry["class"], said.get("currency", ""))


def _sum(entry: dict[str, Any]) -> Sum:
    costs = (Decimal(entry[field] or 0) for field in Sum._fields[2:])
    return Sum(1, entry["quantity"], *costs)
