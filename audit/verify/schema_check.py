"""Check the fields of an event against the vocabulary (docs/rules.md, R4)."""

import json
import re
from typing import Any

from pydantic import ValidationError

from ledger.inference_fields import AMOUNT_PATTERN, AMOUNTS, COUNTS, LISTS, MAPS, MAX_COUNT, TEXTS
from ledger.token_classes import QUANTITY_CLASSES, TOKEN_CLASSES
from tallystick import Control, Correction

CLASSES = {"tokens": TOKEN_CLASSES, "quantities": QUANTITY_CLASSES, "reported_tokens": ("input", "output", "total")}


def is_valid(kind: str, data: dict[str, Any]) -> bool:
    if kind == "control":
        try:
            return bool(Control.model_validate_json(json.dumps(data)))
        except ValidationError:
            return False
    if kind == "correction":
        try:
            Correction.model_validate_json(json.dumps(data))
        except ValidationError:
            return False
        return is_valid("inference", data.get("replacement") or {})
    if kind != "inference":
        return True
    for name, value in data.items():
        if not (isinstance(value, str) if name in TEXTS else _is_valid_field(name, value)):
            return False
    return True


def _is_valid_field(name: str, value: Any) -> bool:
    if name in COUNTS:
        return _is_count(value)
    if name in AMOUNTS:
        return isinstance(value, str) and re.fullmatch(AMOUNT_PATTERN, value, re.ASCII) is not None
    if name in LISTS:
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    if name in MAPS:
        return isinstance(value, dict) and all(isinstance(item, str) for item in value.values())
    if name in CLASSES:
        return isinstance(value, dict) and all(item in CLASSES[name] and _is_count(value[item]) for item in value)
    return True


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_COUNT
