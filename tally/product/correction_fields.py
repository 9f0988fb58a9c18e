"""Fields of an event by the names that ``tally correct --set`` takes: a member of a group is GROUP.MEMBER (pure)."""

from collections.abc import Mapping
from typing import Any

from ledger.inference_fields import COUNTS, LISTS


def compare_fields(before_data: Mapping[str, Any], after_data: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the fields that differ, by the names that --set takes, each with both values."""
    before, after = flatten_fields(before_data), flatten_fields(after_data)
    names = dict.fromkeys((*before, *after))
    return {
        name: {"before": before.get(name), "after": after.get(name)}
        for name in names
        if before.get(name) != after.get(name)
    }


def flatten_fields(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields by the names that --set takes: a member of a group as GROUP.MEMBER."""
    fields: dict[str, Any] = {}
    for name, value in data.items():
        fields |= (
            {f"{name}.{key}": member for key, member in value.items()} if isinstance(value, dict) else {name: value}
        )
    return fields


def read_value(name: str, value: str) -> Any:
    """Read a value of an option: a whole number where the field is a count, a list where it is one, else text."""
    is_count = name in COUNTS or name.partition(".")[0] in ("tokens", "quantities", "reported_tokens")
    if is_count and value.isascii() and value.isdecimal():
        return int(value)
    return value.split(",") if name in LISTS else value


def write_value(name: str, value: Any) -> str | None:
    """Write a value as the option takes it; None for one that is removed."""
    if value is None:
        return None
    return (",".join(map(str, value)) if name in LISTS and isinstance(value, list) else str(value)) or None


def set_field(data: dict[str, Any], name: str, value: Any) -> None:
    group, _, member = name.partition(".")
    if member:
        data[group] = {**_read_group(data, group), member: value}
    else:
        data[group] = value


def remove_field(data: dict[str, Any], name: str) -> None:
    group, _, member = name.partition(".")
    if member:
        data[group] = {key: value for key, value in _read_group(data, group).items() if key != member}
    if not member or not data[group]:
        data.pop(group, None)


def _read_group(data: dict[str, Any], group: str) -> dict[str, Any]:
    members = data.get(group)
    return members if isinstance(members, dict) else {}
