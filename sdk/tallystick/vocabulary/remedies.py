"""Remedies for fields that are left out: what to send instead. Pure."""

from decimal import Decimal
from functools import cache
from typing import Literal, get_args, get_origin

from tallystick.privacy.field_names import UNSAFE_LABEL
from tallystick.vocabulary.attribute_names import ATTRIBUTE_PREFIX, HEADER_PREFIX
from tallystick.vocabulary.fitting import MAX_NAME_LENGTH, MAX_TAGS, split_type
from tallystick.vocabulary.inference import Inference

_BY_FIELD = {
    "tokens": "Usage is unknown until it is sent as whole counts by token class",
    "reported_tokens": "Usage is unknown until input, output and total are whole counts",
    "quantities": "Usage is unknown until it is sent as whole counts by quantity class",
    "provider_usage": "Of a usage block only whole counts are kept; nothing to do",
    "usage_source": "Leave it out, or send it in agreement with the usage",
    "claimed_cost": "Send a number in plain digits, such as 0.02, $0.02 or USD 0.02",
    "claimed_currency": "Send a code of ISO 4217, such as USD",
    "tags": f"Send at most {MAX_TAGS} tags: names of 1 to 64 characters, texts of 1 to 256",
    "acting_for": "Send a list of at most 64 texts of 1 to 256 characters",
    "violations": "Send a list of at most 64 objects with code and path_hash",
    "rate_limits": "Send a list of at most 16 objects with dimension, limit, remaining and reset_ms",
    "left_out": "Send a list of names",
    "key": "Send the name or the fingerprint of the key, of 1 to 256 characters",
    UNSAFE_LABEL: "Its name may be content, so it is not shown: send it as a tag under a name of letters",
}


@cache
def remedy_of(label: str) -> str:
    """Return what to do about a field that is left out, by its label (``team``, ``tags.env``, ``?``). A sentence
    without its point."""
    field, _, _ = label.partition(".")
    if field in _BY_FIELD:
        return _BY_FIELD[field]
    if field in Inference.model_fields:
        return _describe_type(field)
    if label.startswith((ATTRIBUTE_PREFIX, HEADER_PREFIX, HEADER_PREFIX.lower())):
        return "No field has this name: docs/vocabulary.md lists those that attributes and headers carry"
    return "No field has this name: send it as a tag, or under the name of a field"


def _describe_type(field: str) -> str:
    base, _ = split_type(Inference.model_fields[field].annotation)
    if get_origin(base) is Literal:
        return f"Send one of {', '.join(get_args(base))}"
    if base is int:
        unit = " of milliseconds" if field.endswith("_ms") else " of seconds" if field.endswith("_s") else ""
        return f"Send a whole number{unit}, up to 10^12"
    if base is Decimal:
        return "Send a number from 0 to 1"
    return f"Send a text of 1 to {MAX_NAME_LENGTH} characters; a longer one is not cut, as a cut id is another id"
