"""Types that all readers of usage share, and responses as mappings (pure)."""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel

Block = Mapping[str, Any]
Fields = dict[str, Any]


class Reading(NamedTuple):
    """One way to read a block: counts by token class, and the totals of both directions, all parts included."""

    tokens: dict[str, int]
    input: int
    output: int


class Usage(NamedTuple):
    """A block as its form reads it: the readings that agree with it, the documented one first, and its own totals.

    Without a reading the usage is unknown. ``fields`` are further fields of an inference that the block fills.
    """

    readings: tuple[Reading, ...]
    input: int | None = None
    output: int | None = None
    total: int | None = None
    quantities: dict[str, int] = {}  # noqa: RUF012  (never changed)
    fields: Fields = {}  # noqa: RUF012  (never changed)


class Context(NamedTuple):
    """The surroundings of a block: the objects around it from the innermost out, and the model where one is named."""

    envelopes: tuple[Block, ...] = ()
    model: str | None = None

    def has_model(self, *words: str) -> bool:
        """Tell whether the model's name holds one of these words."""
        name = (self.model or "").lower()
        return any(word in name for word in words)


TERM = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}")
MAX_REMEMBERED_NAMES, MAX_REMEMBERED_LENGTH = 4096, 256
SCALARS = (str, bytes, int, float, list, tuple, set, frozenset, type(None))


def to_mapping(value: object) -> Block:
    """Return a response or a block as a mapping; an empty one for anything else."""
    if type(value) is dict:
        return value
    if value is None or type(value) is str or type(value) is int:  # the usual ones: the questions below take longer
        return {}
    if isinstance(value, Mapping):
        return value
    if isinstance(value, (*SCALARS, type)):
        return {}
    if isinstance(value, BaseModel):  # as it is: a dump would cut objects of subclasses, and takes longer
        return {**vars(value), **(value.__pydantic_extra__ or {})}
    dump = getattr(value, "model_dump", None) or getattr(value, "to_dict", None)
    attributes = dump() if callable(dump) else getattr(value, "__dict__", None)
    if attributes is None:  # objects with slots, as dataclasses may be
        attributes = {name: getattr(value, name, None) for name in getattr(type(value), "__slots__", ())}
    return attributes if isinstance(attributes, Mapping) else {}


def may_have(block: Block, names: frozenset[str]) -> bool:
    """Tell quickly that a dict has none of these names; True where they must be looked up. Other mappings may know a
    name by another spelling."""
    return type(block) is not dict or not names.isdisjoint(block)


def get_path(block: Block, *names: str) -> Block:
    """Return the mapping at the end of a path of names; an empty one where the path ends before."""
    for name in names:
        block = to_mapping(block.get(name))
    return block


def get_word(block: Block, *names: str) -> str | None:
    """Return the first of these names that is a word: a text of 1 to 256 characters."""
    for name in names:
        value = block.get(name)
        if value is None:
            continue
        if type(value) is not str:
            value = getattr(value, "value", value)
        if isinstance(value, str) and 0 < len(value) <= 256:
            return value
    return None


def get_term(block: Block, *names: str) -> str | None:
    """Return the first of these names that is a term of a provider, such as ``on_demand``: never a sentence."""
    word = get_word(block, *names)
    return word if word is not None and TERM.fullmatch(word) else None


Value = TypeVar("Value")


def remember_by_name(compute: Callable[[str], Value]) -> Callable[[str], Value]:
    """Decorate a pure function of a name: the same names come again and again. Long ones are not kept."""

    class Memory(dict[str, Value]):
        def __missing__(self, name: str) -> Value:
            value = compute(name)
            if len(self) >= MAX_REMEMBERED_NAMES:
                self.clear()
            if len(name) <= MAX_REMEMBERED_LENGTH:
                self[name] = value
            return value

    return Memory().__getitem__


@remember_by_name
def to_snake_case(name: str) -> str:
    """Write a name of any spelling (camelCase, Header-Case) in snake case."""
    if name.islower() and "-" not in name:
        return name
    if "-" in name:
        return to_snake_case("_".join(part[:1].lower() + part[1:] for part in name.split("-")))
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
