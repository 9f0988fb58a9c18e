"""Collect the fields of an inference from a row: what does not fit its field is left out by name. Pure."""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from ingest.adapters.cells import (
    is_absent,
    parse_count,
    parse_money,
    parse_number,
    parse_object,
    parse_text,
    parse_time,
)
from ingest.intake.rejection import Rejection
from ledger.inference_fields import MAX_COUNT
from tallystick.vocabulary.attribute_names import ATTRIBUTE_PREFIX, attribute_name, read_attributes
from tallystick.vocabulary.fitting import fit_fields

MAX_LABEL, MAX_TAGS = 64, 32
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")


class Fields:
    """The fields of one event, in the making. Names are those of the source, for ``left_out``."""

    def __init__(self, row: Mapping[str, Any], **constants: Any) -> None:
        self.row = row
        self.data: dict[str, Any] = constants
        self._left_out: set[str] = set()
        self._names: set[str] = set()

    def take(self, name: str) -> Any:
        """Return the value of a column, None where it is absent. A column that is never taken counts as left out."""
        self._names.add(name)
        value = self.row.get(name)
        return None if is_absent(value) else value

    def take_object(self, name: str) -> Mapping[str, Any]:
        return parse_object(self.take(name))

    def ignore(self, names: Iterable[str]) -> None:
        """Take columns that say nothing of their own; docs/sources.md lists them."""
        self._names.update(names)

    def leave_out(self, name: str) -> None:
        """Count a field of the source as left out, by its name without spaces and signs."""
        self._left_out.add(_UNSAFE.sub("_", name).strip("_"))

    def time(self, *names: str) -> datetime:
        """Return the moment of the first column that has one. Raises Rejection where none has."""
        for name in names:
            value = self.take(name)
            if value is not None:
                moment = parse_time(value)
                if moment is None:
                    raise Rejection(name, "is no time: write ISO 8601, or seconds since 1970")
                return moment
        raise Rejection(names[0], "is missing: a row needs its time")

    def identity(self, *names: str) -> str:
        """Return the id of the first column that has one. Raises Rejection where none has, or where it is too long."""
        id = parse_text(next((value for name in names if (value := self.take(name)) is not None), None))
        if id is None:
            raise Rejection(names[0], "is missing, or too long: it tells a row from the others")
        return id

    def text(self, field: str, value: Any, name: str) -> None:
        """Fill a field with a text, if it has none yet."""
        self._fill(field, value, name, parse_text)

    def count(self, field: str, value: Any, name: str) -> None:
        self._fill(field, value, name, parse_count)

    def milliseconds(self, field: str, value: Any, name: str, unit_ms: int = 1) -> None:
        """Fill a field with a duration, rounded to milliseconds; ``unit_ms`` is the unit of the value."""
        self._fill(field, value, name, lambda value: _round(value, unit_ms))

    def claim(self, value: Any, name: str) -> None:
        """Keep what the source says it cost, in dollars."""
        self._fill("claimed_cost", value, name, parse_money)
        if "claimed_cost" in self.data:
            self.data["claimed_currency"] = "USD"

    def tag(self, name: str, value: Any) -> None:
        """Keep a tag, where its name and value fit and there is room."""
        if is_absent(value):
            return
        tags: dict[str, str] = self.data.setdefault("tags", {})
        text = parse_text(value)
        if text is None or not 1 <= len(name) <= MAX_LABEL or len(tags) >= MAX_TAGS:
            self.leave_out(name)
        else:
            tags.setdefault(name, text)

    def attributes(self, metadata: Mapping[str, Any]) -> None:
        """Fill fields from ``tallystick.<field>`` and ``tallystick.tags.<name>``, also as one object ``tallystick``.
        They stand above what the source says itself, and above attributes before them."""
        nested = parse_object(metadata.get(ATTRIBUTE_PREFIX.rstrip(".")))
        attributes = {f"{ATTRIBUTE_PREFIX}{name}": value for name, value in nested.items()}
        for field, value in read_attributes({**attributes, **metadata}).items():
            if field == "tags":
                if not isinstance(value, Mapping):
                    self.leave_out(attribute_name(field))
                    continue
                for name, text in value.items():
                    self.data.get("tags", {}).pop(str(name), None)
                    self.tag(str(name), text)
            elif not is_absent(value):
                self.data[field] = value

    def labels(self, labels: Iterable[Any], name: str) -> None:
        """Keep a list of tags: ``key:value`` and ``tallystick.<field>:value`` by key, others as tags that are true."""
        for label in labels:
            text = parse_text(label)
            if text is None:
                self.leave_out(name)
                continue
            key, sign, value = text.partition(":") if ":" in text else text.partition("=")
            if key.startswith(ATTRIBUTE_PREFIX) and sign:
                self.attributes({key: value})
            else:
                self.tag(key if sign and value else text[:MAX_LABEL], value if sign and value else "true")

    def usage(self, fields: Mapping[str, Any]) -> None:
        """Add the fields of usage; what the event has already stands."""
        for name, value in fields.items():
            self.data.setdefault(name, value)

    def finish(self, *, skip: Iterable[str] = (), fit: bool = True) -> dict[str, Any]:
        """Return the data. Columns that were not taken, and are not empty, are left out by name. ``fit`` is for sources
        whose rows may carry attributes of any type."""
        self._names.update(skip)
        for name, value in self.row.items():
            if name not in self._names and not is_absent(value) and value not in ({}, [], 0, False, "0", "{}", "[]"):
                self.leave_out(name)
        if self._left_out:
            self.data["left_out"] = sorted(self._left_out)
        return fit_fields(self.data).fields if fit else self.data

    def _fill(self, field: str, value: Any, name: str, parse: Callable[[Any], Any]) -> None:
        if is_absent(value) or field in self.data:
            return
        parsed = parse(value)
        if parsed is None:
            self.leave_out(name)
        else:
            self.data[field] = parsed


def read_status(value: Any) -> str | None:
    """Return the status of a call by an HTTP status, or a word of the source; None where it is neither."""
    code = parse_count(value)
    if code is not None:
        return "ok" if 200 <= code < 300 else "error" if code >= 400 else None
    text = str(value).lower() if isinstance(value, str) else ""
    if text in ("success", "succeeded", "ok", "completed"):
        return "ok"
    return "error" if text in ("failure", "failed", "error") else None


def _round(value: Any, unit_ms: int) -> int | None:
    number = parse_number(value)
    if number is None or number < 0:
        return None
    milliseconds = int((number * unit_ms).to_integral_value())
    return milliseconds if milliseconds <= MAX_COUNT else None
