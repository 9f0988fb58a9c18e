"""Names of fields that may be repeated in logs, answers and tables. Any other name may be content, or a key. Pure."""

import re
from collections.abc import Iterable
from functools import lru_cache

from tallystick.privacy.key_shapes import replace_keys

MAX_LABEL_LENGTH = 64
MAX_LABELS = 32
UNSAFE_LABEL = "?"
"""Stands in place of a name that may be content."""

_UNSAFE_END = f".{UNSAFE_LABEL}"
_FIELD_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}", re.ASCII)


@lru_cache(maxsize=4_096)  # events repeat the same names
def is_field_name(name: str) -> bool:
    """Tell whether a name looks like a field's; any other may be a word of content, or a key."""
    return _FIELD_NAME.fullmatch(name) is not None and replace_keys(name) == name


def field_label(path: str, name: object) -> str:
    """Return the label of a field in the object at ``path`` ("" is the whole): ``tags.env``, and ``tags.?`` for a name
    that may be content, or is too long."""
    parent = f"{path}." if path else ""
    is_safe = isinstance(name, str) and len(parent) + len(name) <= MAX_LABEL_LENGTH and is_field_name(name)
    return f"{parent}{name}" if is_safe else f"{parent}{UNSAFE_LABEL}"


def safe_labels(labels: Iterable[object]) -> list[str]:
    """Return labels of fields as an event's ``left_out`` holds them: each once, in order, at most ``MAX_LABELS``, with
    ``?`` for what may be content. Idempotent."""
    return sorted({_safe_label(label) for label in labels})[:MAX_LABELS]


def _safe_label(label: object) -> str:
    if not isinstance(label, str) or len(label) > 4 * MAX_LABEL_LENGTH:
        return UNSAFE_LABEL
    while len(label) > MAX_LABEL_LENGTH and "." in label:  # the object that holds the field is named in its place
        label = f"{label.removesuffix(_UNSAFE_END).rpartition('.')[0]}{_UNSAFE_END}"
    return label if is_field_name(label.removesuffix(_UNSAFE_END)) else UNSAFE_LABEL
