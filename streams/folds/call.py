"""Read an inference's data as a call, checked as it is read (docs/rules.md, R4).

The types are made from the vocabulary, so that one pass over a line's bytes reads and judges it. What is not exactly
of the vocabulary is read without types (``event.py``), and fitted to it here where no rule minds.
"""

from typing import Annotated, Any, Literal, Protocol

import msgspec

from ledger.inference_fields import AMOUNT_PATTERN, AMOUNTS, COUNTS, LISTS, MAPS, MAX_COUNT, TEXTS
from streams.folds.schema_check import find_schema_mismatch
from tallystick import Inference, QuantityClass, TokenClass

Counts = dict[str, int]


class Dimensions(Protocol):
    """The dimensions of a call that rules read. An entry repeats them, and the vocabulary's others with them."""

    session: str | None
    agent: str | None
    parent_call: str | None
    team: str | None
    tool: str | None
    tool_arguments_hash: str | None
    tool_result_hash: str | None
    prompt_hash: str | None
    payer: str | None
    provider: str | None
    model: str | None
    model_resolved: str | None
    revision: int | None
    service_tier: str | None
    speed: str | None
    geography: str | None
    context_tier: int | None
    response_cache: str | None
    cached_from: str | None
    status: str | None
    error_code: str | None
    usage_source: str | None
    max_tokens: int | None
    calls: int | None
    period_s: int | None


class Call(msgspec.Struct, gc=False):
    """A call: its dimensions, its usage by class, the provider's totals, and the provider's usage block."""

    dimensions: Dimensions
    tokens: Counts | None
    quantities: Counts | None
    reported: Counts | None
    usage_block: dict[str, Any] | None = None


_COUNT = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)]
_UNREAD: dict[str, Any] = {
    "provider_usage": dict[str, int | dict[str, int]],
    "rate_limits": list[dict[str, str | int | None]],
    "violations": list[dict[str, str]],
}
_TYPES: dict[str, Any] = {
    **dict.fromkeys(TEXTS, str),
    **dict.fromkeys(COUNTS, _COUNT),
    **dict.fromkeys(AMOUNTS, Annotated[str, msgspec.Meta(pattern=rf"\A(?a:{AMOUNT_PATTERN})\Z")]),
    **dict.fromkeys(LISTS, list[str]),
    **dict.fromkeys(MAPS, dict[str, str]),
    "tokens": dict[TokenClass, _COUNT],
    "quantities": dict[QuantityClass, _COUNT],
    "reported_tokens": dict[Literal["input", "output", "total"], _COUNT],
    **_UNREAD,
}
_Data: Any = msgspec.defstruct(
    "_Data", [(name, _TYPES[name], None) for name in Inference.model_fields],
    forbid_unknown_fields=True, omit_defaults=True, gc=False,
)  # fmt: skip
_Line: Any = msgspec.defstruct(
    "_Line", [
        ("id", str), ("source", str), ("time", str), ("type", Literal["tallystick.inference.v1"]), ("data", _Data),
        ("specversion", str, ""), ("sequence", int, 0),
    ], forbid_unknown_fields=True, gc=False,
)  # fmt: skip
_READ = frozenset(Inference.model_fields) - _UNREAD.keys()

read_line = msgspec.json.Decoder(_Line).decode
"""Read a line that is an inference of the vocabulary. msgspec.DecodeError or ValueError for any other line."""


def build_call(data: Any) -> Call:
    """Build a call from a line's data, which it takes apart."""
    call = Call(data, data.tokens, data.quantities, data.reported_tokens, data.provider_usage)
    data.tokens = data.quantities = data.reported_tokens = None
    data.provider_usage = data.rate_limits = data.violations = None
    return call


def convert_call(data: dict[str, Any]) -> Call | None:
    """Build a call from data that were read without types; None where a field does not fit the vocabulary."""
    if find_schema_mismatch("inference", data) is not None:
        return None
    call = build_call(msgspec.convert({name: value for name, value in data.items() if name in _READ}, _Data))
    block = data.get("provider_usage")
    call.usage_block = block if isinstance(block, dict) else None
    return call
