"""Complete the limits of a change: what a command leaves out of a limit that the grant has stays as it is."""

from collections.abc import Sequence
from typing import Any

from ledger.log import Log
from streams.folds.grants.limits import Limit
from streams.folds.grants.records import read_change
from tally.product.grants.text import write_exact
from tally.product.grants.usage import read_grants


def complete_limits(log: Log, organization: str, name: str, limits: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the limits with what each leaves out, as the grant has it now. One that the grant has not is unchanged."""
    usage = read_grants(log, organization).find(name)
    present = {} if usage is None else {limit.key: limit for limit in usage.grant.limits}
    keys = [limit.key for limit in read_change({"limits": limits}).limits]
    return [_complete(limit, present.get(key)) for key, limit in zip(keys, limits, strict=True)]


def _complete(limit: dict[str, Any], present: Limit | None) -> dict[str, Any]:
    if present is None:
        return limit
    former: dict[str, Any] = {"thresholds": list(present.thresholds), "unknown_usage": present.unknown_usage}
    if present.floor and "floor" not in limit:
        former |= {"floor": write_exact(present, present.floor), "lend": write_exact(present, present.lend)}
    if "at_limit" not in limit:
        former["at_limit"] = present.at_limit
        if present.downgrade_to is not None:
            former["downgrade_to"] = present.downgrade_to
    return former | limit
