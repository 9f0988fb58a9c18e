"""A usage block from which a reader takes counts, and which remembers what nobody took (pure)."""

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from tallystick.usage.base import Block, remember_by_name, to_mapping, to_snake_case

MAX_COUNT = 10**12
MAX_DEPTH = 6

COUNT_WORDS = re.compile(
    r"token|cach|audio|imag|video|vision|speech|voice|music|frame|reason|think|thought|detail|charact|second|minute|"
    r"search|predict|document|page|modal|ephemeral|ttl|unit|fetch|ground|citation|source|tool|classif|"
    r"(^|_)(count|counts|chars?|hit|miss|read|reads|write|writes|pixels?|queries|num)(_|$)"
)
"""Words of names that count what may be charged for. A count of such a name that no reader took makes the usage
unknown."""
HARMLESS_WORDS = re.compile(r"cost|price|discount|credit|usd|per_(s|sec|second|min|minute)(_|$)|/s|time_to_|(^|_)max_")
"""Words of names that are amounts of money, rates or limits: never counts of their own."""
TIME_WORDS = re.compile(r"(^|_)(time|latency|duration|ms|ns|timestamp|created)(_at)?$")
MEDIA_WORDS = re.compile(r"token|cach|audio|imag|video|speech|reason|think|second|charact")
"""A time of these is a count: it may be charged for."""


def parse_count(value: object) -> int | None:
    """Return a count from 0 to ``MAX_COUNT``: an integer, an integral float or decimal, or its digits as a text; None
    for anything else. A truth value is no count."""
    if type(value) is int:
        return value if 0 <= value <= MAX_COUNT else None
    if isinstance(value, str):
        digits = value[:-2] if value.endswith(".0") else value
        return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 13 else None
    if isinstance(value, (float, Decimal)) and math.isfinite(value) and value == int(value):
        return parse_count(int(value))
    if hasattr(value, "__index__") and not isinstance(value, bool):  # an enumeration's, or a numeric library's
        return parse_count(int(value))
    return None


class CountBlock:
    """A block whose names are in snake case. Each value that a reader takes leaves the block; what is left over is
    checked at the end. A value that is no count, or two names of one fact that differ, spoil the block."""

    __slots__ = ("_names", "_parts", "_values", "is_spoiled")

    def __init__(self, block: Block) -> None:
        self._values: dict[str, Any] = {}
        self._parts: list[CountBlock] = []
        self.is_spoiled = False
        for name, value in block.items():
            if isinstance(name, str) and value is not None:
                key = to_snake_case(name)
                self._values[name if key in self._values else key] = value

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def get_count(self, *names: str) -> int | None:
        """Take one count, by any of its names. Names that repeat it agree, or are zero."""
        values = self._values
        count: int | None = None
        for name in names:
            if name in values:
                value = parse_count(values.pop(name))
                if value is None or (count and value and count != value):
                    self.is_spoiled = True
                else:
                    count = value or count or 0
        return count

    def take(self, *names: str) -> int:
        """Take one count; zero where it is absent."""
        return self.get_count(*names) or 0

    def get_value(self, name: str) -> object:
        """Take a value as it is."""
        return self._values.pop(name, None)

    def has_any(self, names: frozenset[str]) -> bool:
        """Tell whether a value of one of these names stands in the block."""
        return not names.isdisjoint(self._values)

    def has_zero(self, name: str) -> bool:
        """Tell whether a count of this name stands in the block and is zero."""
        return name in self._values and parse_count(self._values[name]) == 0

    def has_object(self, name: str) -> bool:
        """Tell whether an object of this name stands in the block."""
        value = self._values.get(name)
        return bool(to_mapping(value)) if value is not None else False

    def agree(self, first: int | None, second: int | None) -> int:
        """Return one count of two places that repeat it; where they differ the block contradicts itself."""
        if first and second and first != second:
            self.is_spoiled = True
        return first or second or 0

    def take_part(self, *names: str) -> "CountBlock":
        """Take an object within the block; its own rest is checked with the block's. Empty where absent."""
        for name in names:
            if name in self._values:
                value = self._values.pop(name)
                block = to_mapping(value)
                self._note_shape(name, {} if block else value)
                part = CountBlock(block)
                self._parts.append(part)
                return part
        return EMPTY

    def take_parts(self, *names: str) -> "CountBlock":
        """Take the objects of these names as one. Where they differ in a count, the block contradicts itself."""
        present = [name for name in names if name in self._values]
        if len(present) < 2:
            return self.take_part(*present)
        merged: dict[str, Any] = {}
        for name in present:
            for key, value in to_mapping(self._values.pop(name)).items():
                if value is not None and merged.setdefault(key, value) != value:
                    self.is_spoiled = True
        part = CountBlock(merged)
        self._parts.append(part)
        return part

    def drop_repeated(self, name: str, count: int) -> None:
        """Leave out a count that repeats another."""
        if name in self._values and parse_count(self._values[name]) == count:
            del self._values[name]

    def take_list(self, *names: str) -> list["CountBlock"]:
        """Take a list of objects."""
        for name in names:
            values = self._values.pop(name, None)
            if isinstance(values, (list, tuple)):
                blocks = [to_mapping(value) for value in values]
                self._note_shape(name, [value for value, block in zip(values, blocks, strict=True) if not block])
                parts = [CountBlock(block) for block in blocks]
                self._parts.extend(parts)
                return parts
            self._note_shape(name, values)
        return []

    def take_word(self, *names: str) -> str | None:
        """Take a short text, in lower case; None where it is absent."""
        for name in names:
            if name in self._values:
                value = self._values.pop(name)
                return str(getattr(value, "value", value)).lower()[:64]
        return None

    def rename_prefix(self, name: str, prefix: str) -> bool:
        """Take a prefix off the names of an object, and drop its count of the prefix alone. Tell whether one had it."""
        details = to_mapping(self._values.get(name))
        marked = {key: key.removeprefix(f"{prefix}_") for key in details if isinstance(key, str)}
        if not any(key != plain or key == prefix for key, plain in marked.items()):
            return False
        self._values[name] = {plain: details[key] for key, plain in marked.items() if key != prefix}
        return True

    def drop(self, *names: str) -> None:
        """Leave out what is known to repeat another value, or to count nothing that is charged for."""
        for name in names:
            self._values.pop(name, None)

    def _note_shape(self, name: str, value: object) -> None:
        """Note that counts stand in another shape than an object or a list of objects: nobody reads them there."""
        if value and has_count(f"detail_{name}", value):
            self.is_spoiled = True

    def spoil(self) -> None:
        """Note that the block contradicts itself."""
        self.is_spoiled = True

    def is_read(self, path: str = "") -> bool:
        """Tell whether the block was read whole: it agrees with itself, and no count is left over. ``path`` stands
        before its names: within an object of details every number is a count but money and times."""
        if self.is_spoiled or (
            self._values and any(has_count(path + name, value) for name, value in self._values.items())
        ):
            return False
        return all(part.is_read("detail_") for part in self._parts)


class EmptyBlock(CountBlock):
    """The block of an object that is absent: it has nothing to take, and says so at once."""

    __slots__ = ()

    def get_count(self, *names: str) -> int | None:
        return None

    def take(self, *names: str) -> int:
        return 0

    def take_part(self, *names: str) -> CountBlock:
        return self


EMPTY = EmptyBlock({})


def has_count(name: str, value: object, depth: int = 0) -> bool:
    """Tell whether a value, or one within it, is a number other than zero whose path of names counts something."""
    if value is None or isinstance(value, bool) or is_harmless(name):
        return False
    if isinstance(value, (int, float, Decimal)):
        return value != 0 and has_count_word(name)
    if isinstance(value, str):
        return bool(parse_count(value)) and has_count_word(name)
    if depth >= MAX_DEPTH:
        return True
    if isinstance(value, (list, tuple)):
        return any(has_count(name, item, depth + 1) for item in value)
    inner = value if isinstance(value, Mapping) else to_mapping(value)
    path = to_snake_case(name)
    return any(has_count(f"{path}_{key}", item, depth + 1) for key, item in inner.items())


def is_countable(name: str) -> bool:
    """Tell whether a number other than zero counts something under this name."""
    return has_count_word(name) and not is_harmless(name)


@remember_by_name
def has_count_word(name: str) -> bool:
    """Tell whether a name, or a path of names, has a word of those that count."""
    return COUNT_WORDS.search(to_snake_case(name)) is not None


@remember_by_name
def is_harmless(name: str) -> bool:
    """Tell whether a name, or a path of names, is one of an amount of money, a rate, a limit or a time."""
    path = to_snake_case(name)
    is_time = TIME_WORDS.search(path) is not None and MEDIA_WORDS.search(path) is None
    return is_time or HARMLESS_WORDS.search(path) is not None
