"""Write the section ``grants`` of the file that would make the grants of an organization. Pure."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any

from streams.folds.event import EPOCH
from streams.folds.grants.limits import DEFAULT_THRESHOLDS, Limit
from streams.folds.grants.tree import Grant
from tally.product.grants.history import AppliedRecord
from tally.product.grants.text import format_limit
from tally.product.grants.usage import Grants

_FIELDS = {"inference_classes": "classes"}
"""The field of a file for each dimension of a set, where it is not the dimension's name."""
_OVER = ("revoked", "expired")


def build_grants_section(grants: Grants, names: Mapping[str, str]) -> dict[str, Any]:
    """Build the section that would make the living grants what they are, parents first. Persons have their names where
    ``names`` has them for their pseudonyms. Pauses and narrowings that end are not part of it."""
    return {
        usage.grant.name: _build_grant(usage.grant, grants.history.get(usage.grant.name, ()), names)
        for usage in grants.usages
        if usage.stop is None or usage.stop.reason not in _OVER
    }


def _build_grant(grant: Grant, history: Sequence[AppliedRecord], names: Mapping[str, str]) -> dict[str, Any]:
    fields: dict[str, Any] = {} if grant.parent is None else {"parent": grant.parent}
    fields["scope"] = f"{grant.dimension}={names.get(grant.scope, grant.scope)}"
    fields |= {_FIELDS.get(dimension, dimension): list(values) for dimension, values in grant.allow}
    if grant.limits:
        fields["limits"] = [_build_limit(limit) for limit in grant.limits]
    if grant.expires_us is not None:
        fields["expires"] = _write_time(EPOCH + timedelta(microseconds=grant.expires_us))
    if grant.is_delegable:
        fields["delegable"] = True
    reason = history[0].reason if history else None
    return fields | ({} if reason is None else {"reason": reason})


def _build_limit(limit: Limit) -> str | dict[str, Any]:
    options: dict[str, Any] = {}
    if limit.thresholds != DEFAULT_THRESHOLDS:
        options["thresholds"] = list(limit.thresholds)
    if limit.at_limit != "deny":
        options["at_limit"] = f"downgrade={limit.downgrade_to}" if limit.downgrade_to else limit.at_limit
    if limit.unknown_usage != "assume_greatest":
        options["unknown_usage"] = limit.unknown_usage
    if limit.window.first_month != 1:
        options["first_month"] = limit.window.first_month
    text = format_limit(limit)
    return {"limit": text, **options} if options else text


def _write_time(moment: datetime) -> date | datetime:
    return moment.date() if moment.timetz().replace(tzinfo=None) == time() else moment
