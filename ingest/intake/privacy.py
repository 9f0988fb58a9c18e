"""Take out of an event what no field of it may hold: unknown words, keys and addresses in texts.

Keys become fingerprints and addresses pseudonyms wherever a text holds them, in names of fields and in the event's
identity too. Both are functions of the text (and of the organization's key), so duplicates stay duplicates.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Set
from typing import Any

from pydantic import BaseModel

from tallystick import Inference
from tallystick.privacy.addresses import may_hold_address, replace_addresses
from tallystick.privacy.key_shapes import MAX_TEXT, map_texts, may_hold_key, without_keys
from tallystick.vocabulary.inference import RateLimit, ReportedTokens, Violation

Data = dict[str, Any]
Removed = Counter[tuple[str, str]]
"""How many values were removed, by path and type."""

MOST_UNKNOWN = 32
"""How many numbers and booleans under unknown names an event may keep, the first in the order of names."""

_LIKE_A_FIELD = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}", re.ASCII)
_NESTED: dict[str, type[BaseModel]] = {
    "reported_tokens": ReportedTokens,
    "rate_limits": RateLimit,
    "violations": Violation,
}
_KNOWN = frozenset(Inference.model_fields)
_MOST = 10**12


def without_unknown(data: Data, removed: Removed, path: str = "data") -> Data:
    """An inference's data with its known fields as they came, and numbers and booleans of unknown ones."""
    kept = _said(data, _KNOWN)
    whole = len(kept) == len(data)
    for name, model in _NESTED.items():
        if name in kept:
            kept[name] = _nested(kept[name], model.model_fields, removed, f"{path}.{name}")
    if isinstance(kept.get("provider_usage"), dict):
        kept["provider_usage"] = _usage(kept["provider_usage"], removed, f"{path}.provider_usage")
    if not whole:
        kept |= _numbers(data, sorted(data.keys() - _KNOWN), removed, path)
    return kept


def only_known(event: Data, known: Set[str], removed: Removed) -> Data:
    """An object without the fields that the vocabulary does not know; what is null was not said."""
    kept = _said(event, known)
    if len(kept) < len(event):
        for name in event:
            if name not in kept and event[name] is not None:
                _count(removed, "", name, event[name])
    return kept


def may_hold_secret(body: bytes) -> bool:
    """Tell quickly that compact JSON holds neither key nor address; True where its texts must be looked at."""
    return may_hold_address(body) or may_hold_key(body)


def without_secrets(value: Any, person: Callable[[str], str]) -> Any:
    """The same structure without keys and addresses in any text or name of a field. Again it changes nothing."""
    return map_texts(value, lambda text: text_without_secrets(text, person))


def text_without_secrets(text: str, person: Callable[[str], str]) -> str:
    """A text with fingerprints for its keys and pseudonyms for its addresses; one beyond every field's bound stays."""
    return text if len(text) > MAX_TEXT else replace_addresses(without_keys(text), person)


def is_field_name(name: str) -> bool:
    """Whether a name looks like a field's: what does not may be a word of content, or a key."""
    return _LIKE_A_FIELD.fullmatch(name) is not None and without_keys(name) == name


def _said(data: Data, known: Set[str]) -> Data:
    """The fields that are known and not null, in a new object. Nearly always that is all, told without a loop."""
    if data.keys() <= known and None not in data.values():
        return dict(data)
    return {name: value for name, value in data.items() if name in known and value is not None}


def _nested(value: Any, known: Iterable[str], removed: Removed, path: str) -> Any:
    if isinstance(value, list):
        return [_nested(one, known, removed, path) for one in value]
    if not isinstance(value, dict):
        return value
    for name in value:
        if name not in known:
            _count(removed, path, name, value[name])
    return {name: value[name] for name in known if value.get(name) is not None}


def _usage(value: Data, removed: Removed, path: str, depth: int = 0) -> Data:
    """Counts of the provider's usage block, one object deep; its strings are words."""
    kept: Data = {}
    for name, one in value.items():
        if depth == 0 and isinstance(one, dict) and is_field_name(name):
            kept[name] = dict(sorted(_usage(one, removed, f"{path}.{name}", 1).items()))
        elif type(one) is int and 0 <= one <= _MOST and is_field_name(name):
            kept[name] = one
        elif one is not None:
            _count(removed, path, name, one)
    return kept


def _numbers(data: Data, names: list[str], removed: Removed, path: str) -> Data:
    kept: Data = {}
    for name in names:
        if _is_number(data[name]) and is_field_name(name) and len(kept) < MOST_UNKNOWN:
            kept[name] = data[name]
        elif data[name] is not None:
            _count(removed, path, name, data[name])
    return kept


def _is_number(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, bool) or (isinstance(value, int) and -(2**63) <= value < 2**63)


def _count(removed: Removed, path: str, name: str, value: Any) -> None:
    """A name that does not look like a field's may be a word of content: it is counted, and not said."""
    word = name if is_field_name(name) else "?"
    kind = {str: "string", list: "array", dict: "object", bool: "boolean"}.get(type(value), "number")
    removed[f"{path}.{word}".removeprefix("."), kind] += 1
