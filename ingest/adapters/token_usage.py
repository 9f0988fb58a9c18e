"""Fields of usage from the counts of a row: classes that sum to the row's totals, or usage that is unknown. Pure."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ingest.adapters.cells import is_absent, parse_count
from ledger.token_classes import INPUT_CLASSES, OUTPUT_CLASSES

MAX_COUNTS, MAX_NAME_LENGTH = 32, 64
_COUNT_NAME = re.compile(r"token|cache|audio|reasoning", re.IGNORECASE)


def find_unread_counts(row: Mapping[str, Any], read: Iterable[str]) -> list[str]:
    """Return the columns that look like counts of tokens, are above zero and were not read."""
    names = set(read)
    return [
        name for name, value in row.items() if name not in names and _COUNT_NAME.search(name) and parse_count(value)
    ]


def find_unreadable(row: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    """Return the columns of these that hold something else than a count."""
    return [name for name in names if not is_absent(row.get(name)) and parse_count(row[name]) is None]


def make_usage(
    tokens: Mapping[str, int | None],
    totals: Mapping[str, int | None],
    counts: Mapping[str, Any],
    *,
    unread: Iterable[str] = (),
    quantities: Mapping[str, int | None] | None = None,
) -> dict[str, Any]:
    """Return the fields of usage of a row.

    ``tokens`` are counts by class (None: the row does not have it), ``totals`` those of ``input``, ``output`` and
    ``total`` that the source writes, ``counts`` its own counts by name, ``unread`` the names of counts that were not
    understood. Usage is unknown where classes contradict the totals, where a class is below zero, or where a count
    was not understood.
    """
    present = {name: count for name, count in tokens.items() if count is not None}
    reported = {name: count for name, count in totals.items() if count is not None}
    used = {name: count for name, count in (quantities or {}).items() if count}
    fields: dict[str, Any] = {"quantities": used} if used else {}
    unread = list(unread)
    if not present and not reported and not unread:
        return {**fields, "usage_source": "reported" if used else "missing"}
    if not unread and min(present.values(), default=-1) >= 0 and not has_contradiction(present, reported):
        tokens_used = {name: count for name, count in present.items() if count}
        fields["tokens"] = tokens_used or {"input": 0}
        if reported:
            fields["reported_tokens"] = reported
        return {**fields, "usage_source": "reported"}
    block = select_counts(counts)
    if block:
        fields["provider_usage"] = block
    if reported:
        fields["reported_tokens"] = reported
    return {**fields, "usage_source": "unknown"}


def has_contradiction(tokens: Mapping[str, int], totals: Mapping[str, int]) -> bool:
    """Tell whether the classes do not sum to the totals."""
    sums = {
        "input": sum(tokens.get(name, 0) for name in INPUT_CLASSES),
        "output": sum(tokens.get(name, 0) for name in OUTPUT_CLASSES),
    }
    sums["total"] = sums["input"] + sums["output"]
    return any(totals[name] != sums[name] for name in totals)


def subtract(total: int | None, *parts: int | None) -> int | None:
    """Return a total without its parts; None where there is no total. It is below zero where parts exceed it."""
    return None if total is None else total - sum(part or 0 for part in parts)


def select_counts(counts: Mapping[str, Any]) -> dict[str, int]:
    """Return the counts of a row by names that fit."""
    block = {}
    for name, value in counts.items():
        label = re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_")[:MAX_NAME_LENGTH]
        count = None if is_absent(value) else parse_count(value)
        if count is not None and label and not label[0].isdigit():
            block[label] = count
    return dict(list(block.items())[:MAX_COUNTS])
