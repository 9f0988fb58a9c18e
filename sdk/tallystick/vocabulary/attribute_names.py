"""Names by which other formats carry the fields that they lack. Pure.

- An OpenTelemetry attribute, and a key of LiteLLM's or Langfuse's metadata: ``tallystick.error_code``; of the tag
  ``region``: ``tallystick.tags.region``.
- An HTTP header: ``Tallystick-Error-Code``, ``Tallystick-Tags-Region``.

Facts have no such name: tokens and quantities come from the source alone, so that no attribute changes them.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from tallystick.vocabulary.inference import Inference

ATTRIBUTE_PREFIX = "tallystick."
HEADER_PREFIX = "Tallystick-"
_TAGS = "tags"

RESERVED_FIELDS = frozenset(
    ("tokens", "reported_tokens", "quantities", "provider_usage", "usage_source", "calls", "period_s", "revision",
     "adapter", "adapter_version", "left_out", "rate_limits", "violations")
)  # fmt: skip
"""Fields that only the reader of a source writes: facts, counts of events, and lists of objects."""
NAMED_FIELDS = tuple(name for name in Inference.model_fields if name not in RESERVED_FIELDS)
"""Fields that an attribute, a metadata key and a header can carry."""

_FIELDS_BY_HEADER = {name.replace("_", "-"): name for name in NAMED_FIELDS}


def attribute_name(field: str) -> str:
    """Return the OpenTelemetry attribute, which is the metadata key too, that carries a field."""
    return f"{ATTRIBUTE_PREFIX}{field}"


def header_name(field: str) -> str:
    """Return the HTTP header that carries a field."""
    return HEADER_PREFIX + "-".join(word.capitalize() for word in field.split("_"))


def field_of_attribute(name: str) -> str | None:
    """Return the field that an attribute or a metadata key carries: ``team``, or ``tags.<name>`` for a tag. None where
    it is none of ours, or carries what only a source's reader writes."""
    if not name.startswith(ATTRIBUTE_PREFIX):
        return None
    field = name.removeprefix(ATTRIBUTE_PREFIX)
    return field if field in _NAMED or (field.startswith(f"{_TAGS}.") and len(field) > len(_TAGS) + 1) else None


def field_of_header(name: str) -> str | None:
    """Return the field that an HTTP header carries, in whatever case it is written; a tag's name is in small letters,
    with ``_`` for ``-``. None as for attributes."""
    lowered = name.lower()
    if not lowered.startswith(HEADER_PREFIX.lower()):
        return None
    words = lowered.removeprefix(HEADER_PREFIX.lower())
    prefix, _, tag = words.partition("-")
    if prefix == _TAGS and tag:
        return f"{_TAGS}.{tag.replace('-', '_')}"
    return _FIELDS_BY_HEADER.get(words)


def read_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that attributes or metadata carry, for :func:`fit_fields`. Names under our prefix that carry no
    field stay as they are, so that they are left out by name and not in silence."""
    pairs = []
    for name, value in attributes.items():
        if isinstance(name, str) and name.startswith(ATTRIBUTE_PREFIX):
            pairs.append((field_of_attribute(name) or name, value))
    return _gather(pairs)


def read_headers(headers: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return the fields that HTTP headers carry, for :func:`fit_fields`. ``Tallystick-Acting-For`` holds its principals
    between commas; a header that repeats counts once, the last."""
    pairs: list[tuple[str, Any]] = []
    for name, value in headers:
        if not name.lower().startswith(HEADER_PREFIX.lower()):
            continue
        field = field_of_header(name) or name.lower()
        if field == "acting_for":
            pairs.append((field, [part.strip() for part in value.split(",")]))
        else:
            pairs.append((field, value))
    return _gather(pairs)


def _gather(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Gather fields, the tags in one mapping. ``tags`` that is no mapping stays, and is left out later."""
    fields: dict[str, Any] = {}
    tags: dict[str, Any] = {}
    for field, value in pairs:
        if field == _TAGS and isinstance(value, Mapping):
            tags = {**value, **tags}
        elif field.startswith(f"{_TAGS}."):
            tags[field.removeprefix(f"{_TAGS}.")] = value
        else:
            fields[field] = value
    return fields | ({_TAGS: tags} if tags else {})


_NAMED = frozenset(NAMED_FIELDS)
