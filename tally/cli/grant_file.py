"""Read the section ``grants`` of a file: what ``tally grant create`` can say, as YAML."""

import re
from collections.abc import Mapping
from typing import Any

from ingest.controls.registry.declaration import suggest
from ingest.controls.registry.yaml_nodes import Place
from ledger.dimensions import BUDGET_DIMENSIONS
from ledger.errors import TallyError
from tally.cli.arguments import parse_choice, parse_pair, parse_time
from tally.cli.grant_options import build_limits
from tally.product.grants.declaration import DeclaredGrant

LISTS = {
    "models": "models", "providers": "providers", "regions": "regions", "data_classes": "data_classes",
    "purposes": "purposes", "environments": "environments", "operations": "operations",
    "classes": "inference_classes",
}  # fmt: skip
"""The fields of a grant that list names, and the dimension of each."""
_LIMIT_OPTIONS = ("thresholds", "at_limit", "unknown_usage", "first_month")
_FIELDS = ("scope", "parent", *LISTS, "limits", *_LIMIT_OPTIONS, "expires", "delegable", "reason")
_OPTION = re.compile(r"--(limit|thresholds|at-limit|unknown-usage|first-month|expires|scope)\b")


def read_grants_section(section: Place) -> list[DeclaredGrant]:
    """Read the grants of a file. TallyError names file, line, path and value of what is wrong, and the way out."""
    return [_read_grant(name, place) for name, place in section.list_fields()]


def _read_grant(name: str, place: Place) -> DeclaredGrant:
    fields = _read_fields(place, _FIELDS)
    if "scope" not in fields:
        raise place.make_error("has no scope: write who may spend it, for example scope: team=search")
    dimension, scope = _parse(fields["scope"], _parse_scope, fields["scope"].read_text())
    allow = {LISTS[field]: _read_names(fields[field]) for field in LISTS if field in fields}
    body = {
        "grant": name, "parent": _read_text(fields, "parent"), "dimension": dimension, "scope": scope,
        "allow": allow or None, "limits": _read_limits(fields) or None, "expires_at": _read_expires(fields),
        "delegable": _read_delegable(fields),
    }  # fmt: skip
    present = {field: value for field, value in body.items() if value is not None}
    return DeclaredGrant(place, fields, present, _read_text(fields, "reason"))


def _read_fields(place: Place, names: tuple[str, ...]) -> dict[str, Place]:
    fields: dict[str, Place] = {}
    for name, value in place.list_fields():
        if name not in names:
            raise value.make_error(f"is no field of a grant: {suggest(name, names)}")
        if not value.is_absent:
            fields[name] = value
    return fields


def _read_text(fields: Mapping[str, Place], name: str) -> str | None:
    return fields[name].read_text() if name in fields else None


def _read_names(place: Place) -> list[str]:
    names = [item.read_text() for item in place.list_items()]
    if not names or not all(names):
        raise place.make_error("lists no name: leave it out to allow any")
    return names


def _read_limits(fields: Mapping[str, Place]) -> list[dict[str, Any]]:
    """Read the limits: texts as ``--limit`` takes them, or mappings with a ``limit`` and its own options. Options of
    the grant are those of each limit that has none."""
    common = {name: fields[name] for name in _LIMIT_OPTIONS if name in fields}
    if "limits" not in fields:
        for place in common.values():
            raise place.make_error("is that of a limit, and the grant has none: write limits too, or leave it out")
        return []
    limits: list[dict[str, Any]] = []
    for item in fields["limits"].list_items():
        options = _read_fields(item, ("limit", *_LIMIT_OPTIONS)) if item.is_mapping else {"limit": item}
        if "limit" not in options:
            raise item.make_error("has no limit: write limit: billed:100USD/1h, or such")
        limits += _parse(item, _build_limit, options["limit"].read_text(), common | options)
    return limits


def _build_limit(text: str, fields: Mapping[str, Place]) -> list[dict[str, Any]]:
    thresholds, first_month = fields.get("thresholds"), _read_text(fields, "first_month")
    percents = None if thresholds is None else ",".join(item.read_text() for item in thresholds.list_items())
    if first_month is not None:
        parse_choice(first_month, [str(month) for month in range(1, 13)], "--first-month")
    return build_limits(
        [text], percents, _read_text(fields, "at_limit"), _read_text(fields, "unknown_usage"),
        None if first_month is None else int(first_month),
    )  # fmt: skip


def _read_expires(fields: Mapping[str, Place]) -> str | None:
    place = fields.get("expires")
    return None if place is None else str(_parse(place, parse_time, place.read_text(), "--expires"))


def _read_delegable(fields: Mapping[str, Place]) -> bool | None:
    text = _read_text(fields, "delegable")
    if text not in (None, "true", "false"):
        raise fields["delegable"].make_error(f"is {text!r}: write true or false")
    return True if text == "true" else None


def _parse_scope(text: str) -> tuple[str, str]:
    dimension, name = parse_pair(text, "--scope")
    return parse_choice(dimension, BUDGET_DIMENSIONS, "the dimension of --scope"), name


def _parse(place: Place, parse: Any, *arguments: Any) -> Any:
    """Parse a value as an option is parsed; an error names its place, and the fields as the file has them."""
    try:
        return parse(*arguments)
    except TallyError as error:
        raise place.make_error(_OPTION.sub(lambda option: option[1].replace("-", "_"), str(error))) from None
