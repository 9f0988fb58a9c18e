"""Check a line, and the fields of an event, against the vocabulary (docs/rules.md, R2 and R4)."""

import json
import re
from datetime import UTC, datetime
from math import isfinite
from typing import Any

from pydantic import ValidationError

from ledger.inference_fields import AMOUNT_PATTERN, AMOUNTS, COUNTS, LISTS, MAPS, MAX_COUNT, TEXTS
from ledger.token_classes import INPUT_CLASSES, QUANTITY_CLASSES, TOKEN_CLASSES
from tallystick import Correction
from tallystick.vocabulary.base import EARLIEST, LATEST
from tallystick.vocabulary.event import DATA_MODELS

CLASSES = {"tokens": TOKEN_CLASSES, "quantities": QUANTITY_CLASSES, "reported_tokens": ("input", "output", "total")}
TYPES = {f"tallystick.{kind}.v1": kind for kind in DATA_MODELS}
MAX_DEPTH = 64
TOKEN_TOTALS_MISMATCH = "token_totals_mismatch"


def parse_event(line: bytes) -> dict[str, Any] | None:
    """Parse an event of the vocabulary, with its kind and time; None where the line is no event."""
    try:
        event: dict[str, Any] = _decode(line.decode())
        if b"\\u" in line:
            json.dumps(event, ensure_ascii=False).encode()  # halves of characters are no text
        moment = datetime.fromisoformat(event["time"])
        brackets = line.count(b"{") + line.count(b"[")  # most lines have too few to be deep
        is_possible = EARLIEST <= moment < LATEST and (brackets <= MAX_DEPTH or _depth(event) <= MAX_DEPTH)
        kind = TYPES.get(event["type"])
        has_shape = (
            isinstance(event["source"], str) and isinstance(event["id"], str) and isinstance(event["data"], dict)
        )
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    if kind is None or not has_shape or not is_possible:
        return None
    return event | {"kind": kind, "moment": moment.astimezone(UTC)}


def _depth(value: Any) -> int:
    """Count the objects and lists around the innermost value."""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if parts is None else 1 + max(map(_depth, parts), default=0)


def _parse_finite(text: str) -> float:
    number = float(text)
    return number if isfinite(number) else _reject_number(text)


def _reject_number(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")


_decode = json.JSONDecoder(parse_constant=_reject_number, parse_float=_parse_finite).decode


def find_quarantine_reason(kind: str, data: dict[str, Any]) -> str | None:
    """Return the reason why an event is quarantined; None where it is not."""
    if not is_valid(kind, data):
        return "schema_mismatch"
    if kind == "correction":
        kind, data = "inference", data.get("replacement") or {}
    return TOKEN_TOTALS_MISMATCH if kind == "inference" and _has_totals_mismatch(data) else None


def _has_totals_mismatch(data: dict[str, Any]) -> bool:
    """Tell whether the classes of a valid inference do not sum to the provider's totals."""
    if "tokens" not in data or "reported_tokens" not in data:
        return False
    tokens, reported = data["tokens"], data["reported_tokens"]
    input_tokens = sum(tokens[name] for name in tokens if name in INPUT_CLASSES)
    output_tokens = sum(tokens[name] for name in tokens if name in TOKEN_CLASSES and name not in INPUT_CLASSES)
    sums = {"input": input_tokens, "output": output_tokens, "total": input_tokens + output_tokens}
    return any(reported[name] != sums[name] for name in sums if name in reported)


def is_valid(kind: str, data: dict[str, Any]) -> bool:
    if kind in ("control", "admission", "lease"):
        try:
            return bool(DATA_MODELS[kind].model_validate_json(json.dumps(data)))
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
