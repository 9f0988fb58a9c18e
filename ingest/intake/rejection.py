"""Why something does not enter, told without a word of its content."""

from typing import Any, get_args

from pydantic import ValidationError

from tallystick import (
    BudgetAllocated,
    Control,
    ControlEvent,
    Correction,
    Inference,
    Observation,
    PriceBookAdopted,
    QuantityClass,
    Target,
    TokenClass,
)
from tallystick.vocabulary.inference import RateLimit, ReportedTokens, Violation

_MODELS = (
    ControlEvent, Control, BudgetAllocated, PriceBookAdopted, Correction, Inference, RateLimit,
    ReportedTokens, Violation, Observation, Target,
)  # fmt: skip
KNOWN = frozenset(
    {name for model in _MODELS for name in model.model_fields} | {*get_args(TokenClass), *get_args(QuantityClass)}
)
"""Every name of the vocabulary. Any other name is a word of the sender's, and never repeated."""

_STEPS = frozenset({"[key]", *(model.__name__ for model in _MODELS)})  # where pydantic went, not what was said
_DEPTH, _ITEMS = 4, 8


class Refused(Exception):
    """``field`` is a path of known names (empty: the whole), ``reason`` what would enter instead.

    ``shape`` is what could be read of the refused: given to :func:`skeleton` and to nothing else.
    """

    def __init__(self, field: str, reason: str, shape: Any = None) -> None:
        super().__init__(f"{field}: {reason}" if field else reason)
        self.field = field
        self.reason = reason
        self.shape = shape


def explained(error: ValidationError, shape: Any) -> Refused:
    """The first thing that the vocabulary has against an event."""
    first = error.errors(include_url=False, include_context=False)[0]
    field = ".".join(named(part) for part in first["loc"][1:] if part not in _STEPS)
    match first["type"]:
        case "missing":
            reason = "is missing"
        case "extra_forbidden":
            reason = "has a field that the vocabulary does not know: leave it out"
        case "value_error" if field == "time":
            reason = first["msg"].removeprefix("Value error, ").partition(", and is ")[0]
        case "value_error" if field == "data.control":
            reason = "is not one of the decisions that the log can carry"
        case "value_error":
            reason = first["msg"].removeprefix("Value error, ")
        case _:
            reason = f"{first['msg']}, and this is {kind(first['input'])}"
    return Refused(field, reason, shape)


def named(part: Any) -> str:
    """A step of a path: a name of the vocabulary, the place in a list, or ``?``."""
    return str(part) if type(part) is int or part in KNOWN else "?"


def kind(value: Any) -> str:
    """What kind of value it is, and how long."""
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


def skeleton(value: Any, depth: int = 0) -> Any:
    """Known names, kinds and lengths: enough to mend a sender, and nothing of what it sent."""
    if depth < _DEPTH and isinstance(value, dict):
        found = {str(name): skeleton(part, depth + 1) for name, part in value.items() if name in KNOWN}
        unknown = len(value) - len(found)
        return found | ({"?": unknown} if unknown else {})
    if depth < _DEPTH and isinstance(value, list):
        return [skeleton(part, depth + 1) for part in value[:_ITEMS]]
    return kind(value)
