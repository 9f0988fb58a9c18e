"""Fields that a person adds to a trace: ``--set model=gpt-4o``, ``--set tags.tier=gold``."""

import difflib
import re
from collections.abc import Collection, Iterable
from typing import Any

from pydantic import ValidationError

from ingest.intake.intake import decode, encode
from ledger.errors import TallyError
from tallystick import Inference

_LITERAL = re.compile(r"-?(0|[1-9][0-9]{0,17})|true|false")


def parse_set_options(sets: Iterable[str], trace_fields: Collection[str]) -> dict[str, Any]:
    """Parse ``field=value`` into fields of an inference. TallyError where one is unknown, invalid, given twice or in
    ``trace_fields``."""
    data: dict[str, Any] = {}
    for option in sets:
        name, sign, value = option.partition("=")
        if not sign:
            raise TallyError(f"--set {option!r} must look like field=value, for example --set model=gpt-4o")
        field, _, tag = name.partition(".")
        if field in trace_fields:
            raise TallyError(f"--set {name}: the trace has {field!r} itself: leave it out")
        if name in data or tag in data.get("tags", {}):
            raise TallyError(f"--set {name} is given twice: give it once")
        if field == "tags" and tag:
            data["tags"] = data.get("tags", {}) | _parse_value(name, {"tags": {tag: value}})["tags"]
        elif name in Inference.model_fields:
            data |= _parse_value(name, {name: value})
        else:
            raise TallyError(f"--set {name}: an inference has no field {name!r}{_suggest_field(name)}")
    return data


def _parse_value(name: str, data: dict[str, Any]) -> dict[str, Any]:
    """Return the field as text where it takes text, else as the number or boolean that is written."""
    text = data.get(name)
    if isinstance(text, str) and _LITERAL.fullmatch(text) and not _is_possible(data):
        data = {name: decode(text)}
    try:
        Inference.model_validate_json(encode(data))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise TallyError(f"--set {name} cannot be {first['input']!r}: {first['msg']}") from None
    return data


def _is_possible(data: dict[str, Any]) -> bool:
    try:
        Inference.model_validate_json(encode(data))
    except ValidationError:
        return False
    return True


def _suggest_field(name: str) -> str:
    near = difflib.get_close_matches(name, Inference.model_fields, 1)
    return f"; did you mean {near[0]!r}?" if near else "; tags take any name: --set tags.NAME=VALUE"
