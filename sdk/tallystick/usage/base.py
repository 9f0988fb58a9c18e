"""Read counts from a provider's usage block: what all providers' readers share (pure)."""

from collections.abc import Mapping
from typing import Any, NamedTuple

Block = Mapping[str, Any]
Fields = dict[str, Any]


class Usage(NamedTuple):
    """Counts by token class, other quantities, and the provider's totals with cache and reasoning included."""

    tokens: dict[str, int]
    input: int
    output: int
    total: int | None = None
    quantities: dict[str, int] = {}  # noqa: RUF012  (never changed)


def to_mapping(value: object) -> Block:
    """Return a response or a block as a mapping; an empty one for anything else."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, (str, bytes, int, float, list, tuple, type(None))):
        return {}
    dump = getattr(value, "model_dump", None) or getattr(value, "to_dict", None)
    attributes = dump() if callable(dump) else getattr(value, "__dict__", {})
    return attributes if isinstance(attributes, Mapping) else {}


def get_block(block: Block, name: str) -> Block:
    return to_mapping(block.get(name))


def get_count(block: Block, name: str) -> int:
    value = block.get(name)
    return value if type(value) is int and value > 0 else 0


def get_total(block: Block, name: str) -> int | None:
    value = block.get(name)
    return value if type(value) is int and value >= 0 else None


def subtract_parts(total: int, parts: Mapping[str, int]) -> int:
    """Return the total without its parts, at least zero. The ledger quarantines parts that exceed their total."""
    return max(0, total - sum(parts.values()))


def to_snake_case(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
