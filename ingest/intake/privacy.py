"""Take out of an event what no field of it may hold: unknown words, keys and addresses in texts.

Keys become fingerprints and addresses pseudonyms wherever a text holds them, in names of fields and in the event's
identity too. Both are functions of the text (and of the organization's key), so duplicates stay duplicates.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Set
from typing import Any

from pydantic import BaseModel

from ledger.inference_fields import MAX_COUNT
from tallystick import Inference
from tallystick.privacy.addresses import may_hold_address, replace_addresses
from tallystick.privacy.field_names import is_field_name, safe_labels
from tallystick.privacy.key_shapes import MAX_TEXT_LENGTH, map_texts, may_hold_key, replace_keys
from tallystick.vocabulary.fitting import MAX_UNKNOWN_FIELDS
from tallystick.vocabulary.inference import RateLimit, ReportedTokens, Violation

Data = dict[str, Any]
Removed = Counter[tuple[str, str]]
"""Counts of removed values, by path and type."""

_NESTED_MODELS: dict[str, type[BaseModel]] = {
    "reported_tokens": ReportedTokens,
    "rate_limits": RateLimit,
    "violations": Violation,
}
_KNOWN_FIELDS = frozenset(Inference.model_fields)


def drop_unknown_fields(data: Data, removed: Removed, path: str = "data") -> Data:
    """Return an inference's data with its known fields unchanged, and the numbers and booleans of unknown ones.

    ``left_out`` names what is removed, beside the names that the source gives: in order, each once, and ``?`` for one
    that may be content. Data that pass again stay as they are.
    """
    fields = _select_known(data, _KNOWN_FIELDS)
    is_complete = len(fields) == len(data)
    for name, model in _NESTED_MODELS.items():
        if name in fields:
            fields[name] = _clean_nested(fields[name], model.model_fields, removed, f"{path}.{name}")
    if isinstance(fields.get("provider_usage"), dict):
        fields["provider_usage"] = _clean_usage(fields["provider_usage"], removed, f"{path}.provider_usage")
    if not is_complete:
        fields |= _select_numbers(data, sorted(data.keys() - _KNOWN_FIELDS), removed, path)
    if removed or "left_out" in fields:
        _label_removed(fields, removed, path)
    return fields


def keep_known_fields(event: Data, known_names: Set[str], removed: Removed) -> Data:
    """Return an object without the fields that the vocabulary does not know; null is absent."""
    fields = _select_known(event, known_names)
    if len(fields) < len(event):
        for name in event:
            if name not in fields and event[name] is not None:
                _count_removed(removed, "", name, event[name])
    return fields


def may_hold_secret(body: bytes) -> bool:
    """Tell quickly that compact JSON holds neither key nor address; True where its texts must be looked at."""
    return may_hold_address(body) or may_hold_key(body)


def replace_secrets(value: Any, person: Callable[[str], str]) -> Any:
    """Return the structure without keys and addresses in any text or name of a field. Idempotent."""
    return map_texts(value, lambda text: replace_text_secrets(text, person))


def replace_text_secrets(text: str, person: Callable[[str], str]) -> str:
    """Return a text with fingerprints for keys and pseudonyms for addresses; one beyond every field's bound stays."""
    return text if len(text) > MAX_TEXT_LENGTH else replace_addresses(replace_keys(text), person)


def _select_known(data: Data, known_names: Set[str]) -> Data:
    """Return the fields that are known and not null, in a new object. The usual case, all of them, needs no loop."""
    if data.keys() <= known_names and None not in data.values():
        return dict(data)
    return {name: value for name, value in data.items() if name in known_names and value is not None}


def _clean_nested(value: Any, known_names: Iterable[str], removed: Removed, path: str) -> Any:
    if isinstance(value, list):
        return [_clean_nested(item, known_names, removed, path) for item in value]
    if not isinstance(value, dict):
        return value
    for name in value:
        if name not in known_names:
            _count_removed(removed, path, name, value[name])
    return {name: value[name] for name in known_names if value.get(name) is not None}


def _clean_usage(value: Data, removed: Removed, path: str, depth: int = 0) -> Data:
    """Return the counts of the provider's usage block, one object deep; its strings may be content."""
    counts: Data = {}
    for name, count in value.items():
        if depth == 0 and isinstance(count, dict) and is_field_name(name):
            counts[name] = dict(sorted(_clean_usage(count, removed, f"{path}.{name}", 1).items()))
        elif type(count) is int and 0 <= count <= MAX_COUNT and is_field_name(name):
            counts[name] = count
        elif count is not None:
            _count_removed(removed, path, name, count)
    return counts


def _select_numbers(data: Data, names: list[str], removed: Removed, path: str) -> Data:
    numbers: Data = {}
    for name in names:
        if _is_number(data[name]) and is_field_name(name) and len(numbers) < MAX_UNKNOWN_FIELDS:
            numbers[name] = data[name]
        elif data[name] is not None:
            _count_removed(removed, path, name, data[name])
    return numbers


def _label_removed(fields: Data, removed: Removed, path: str) -> None:
    """Write the names of what is removed below ``path`` into ``left_out``. A value that is no list of texts stays, and
    is refused."""
    labels = fields.get("left_out", [])
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        return
    names = [name.removeprefix(f"{path}.") for name, _ in removed if name.startswith(f"{path}.")]
    fields["left_out"] = safe_labels([*labels, *names])
    if not fields["left_out"]:
        del fields["left_out"]


def _is_number(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, bool) or (isinstance(value, int) and -(2**63) <= value < 2**63)


def _count_removed(removed: Removed, path: str, name: str, value: Any) -> None:
    """Count a removed value. A name that does not look like a field's may be content, and is counted as ``?``."""
    label = name if is_field_name(name) else "?"
    kind = {str: "string", list: "array", dict: "object", bool: "boolean"}.get(type(value), "number")
    removed[f"{path}.{label}".removeprefix("."), kind] += 1
