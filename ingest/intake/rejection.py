"""Why an event does not enter, without a word of its content."""

import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from tallystick import ANY_EVENT, QuantityClass, TokenClass
from tallystick.privacy.field_names import is_field_name
from tallystick.vocabulary.base import CURRENCY_PATTERN, ID_PATTERN
from tallystick.vocabulary.event import DATA_MODELS
from tallystick.vocabulary.protection import TypedBy


def _find_models(schema: Any) -> Iterator[dict[str, Any]]:
    """Yield each part of a JSON schema that describes an object by its fields."""
    parts = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    if isinstance(schema, dict) and isinstance(schema.get("properties"), dict):
        yield schema["properties"]
    for part in parts:
        yield from _find_models(part)


_SCHEMA = ANY_EVENT.json_schema()
KNOWN_NAMES = frozenset(
    {name for fields in _find_models(_SCHEMA) for name in fields} | {*get_args(TokenClass), *get_args(QuantityClass)}
)
"""Every name of the vocabulary. Any other name is the sender's own, and is never repeated."""

_STEPS = frozenset({"[key]", *_SCHEMA["$defs"]})  # steps of pydantic's that are no field of the event
_DEPTH, _ITEMS = 4, 8
_PYTHON_DECIMAL = re.compile(r"Decimal\('([^']*)'\)")
"""How pydantic writes a bound that is a decimal."""
_PATTERNS = {ID_PATTERN: "must have no spaces", CURRENCY_PATTERN: "must be three capital letters, such as USD"}
"""Patterns of texts that people write, in words."""


class Rejection(Exception):
    """``field`` is a path of known names (empty: the whole event), ``reason`` names what would be accepted.

    ``shape`` is the parsed content, for :func:`make_skeleton` alone.
    """

    def __init__(self, field: str, reason: str, shape: Any = None) -> None:
        super().__init__(f"{field}: {reason}" if field else reason)
        self.field = field
        self.reason = reason
        self.shape = shape


def explain(error: ValidationError, shape: Any) -> Rejection:
    """Explain the first thing that the vocabulary has against an event."""
    first = error.errors(include_url=False)[0]
    steps = [step for step in first["loc"][1:] if step not in _STEPS]
    field = ".".join(map(name_step, steps))
    match first["type"]:
        case "missing":
            reason = "is missing"
        case "extra_forbidden":
            return _explain_unknown_field(steps, shape)
        case "greater_than" if first["ctx"]["gt"] == 0:
            reason = "must be above zero"
        case "is_instance_of" if first["ctx"]["class"] == "Decimal":
            reason = f"must be a number in plain digits, and this is {describe_kind(first['input'])}"
        case "string_pattern_mismatch" if first["ctx"]["pattern"] in _PATTERNS:
            reason = f"{_PATTERNS[first['ctx']['pattern']]}, and this is {describe_kind(first['input'])}"
        case "value_error" if field == "time":
            reason = first["msg"].removeprefix("Value error, ").partition(", and is ")[0]
        case "value_error":
            reason = first["msg"].removeprefix("Value error, ")
        case _:
            message = _PYTHON_DECIMAL.sub(r"\1", first["msg"])
            reason = f"{message}, and this is {describe_kind(first['input'])}"
    return Rejection(field, reason, shape)


def _explain_unknown_field(steps: Sequence[Any], shape: Any) -> Rejection:
    """Name the nearest fields of the vocabulary; and the unknown one too where it is one of them, misspelled."""
    *path, name = steps
    fields = _find_fields(path, shape)
    nearest = get_close_matches(str(name), fields, n=3) if is_field_name(str(name)) else []
    field = ".".join([*map(name_step, path), str(name) if nearest else "?"])
    if nearest:
        return Rejection(field, f"is not a field here; the nearest is {' or '.join(nearest)}", shape)
    return Rejection(field, f"is not a field here; the fields are {', '.join(fields) or 'none'}: leave it out", shape)


def _find_fields(path: Sequence[Any], event: Any) -> list[str]:
    """Return the fields that the vocabulary has at a place of an event: ``data``, or an object within."""
    model: type[BaseModel] = DATA_MODELS[event["type"].split(".")[1]]
    data = event["data"]
    for step in path[1:]:
        if isinstance(step, int):
            data = data[step]
            continue
        info = model.model_fields[step]
        by_type = next((marker for marker in info.metadata if isinstance(marker, TypedBy)), None)
        inner = by_type.model(data) if by_type else _find_model(info.annotation)
        assert inner is not None, "only an object of a model has an unknown field"
        model, data = inner, data[step]
    return list(model.model_fields)


def _find_model(annotation: Any) -> type[BaseModel] | None:
    """Return the model in a field's type: itself, or a member of its union."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_find_model, get_args(annotation))), None)


def name_step(part: Any) -> str:
    """Return a step of a path: a name of the vocabulary, the place in a list, or ``?``."""
    return str(part) if type(part) is int or part in KNOWN_NAMES else "?"


def describe_kind(value: Any) -> str:
    """Describe the kind and the length of a value."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return f"a string of {len(value)} characters"
        case list() | tuple():
            return f"a list of {len(value)}"
        case dict():
            return f"an object of {len(value)} fields"
    return "something else"


def make_skeleton(value: Any, depth: int = 0) -> Any:
    """Return known names, kinds and lengths: enough to correct a sender, and nothing of its content."""
    if depth < _DEPTH and isinstance(value, dict):
        fields = {str(name): make_skeleton(part, depth + 1) for name, part in value.items() if name in KNOWN_NAMES}
        unknown = len(value) - len(fields)
        return fields | ({"?": unknown} if unknown else {})
    if depth < _DEPTH and isinstance(value, list):
        return [make_skeleton(part, depth + 1) for part in value[:_ITEMS]]
    return describe_kind(value)
