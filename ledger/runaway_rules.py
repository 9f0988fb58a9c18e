"""Rules of the detectors of runaways: one document, which people adopt. What a detector finds is a rule
(docs/rules.md, R20), not here."""

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError

from ledger.errors import TallyError
from ledger.pricing.document import build_damage_error, pack, unpack
from ledger.pricing.document_file import RULES, build_field_error, build_shape_error, parse_mapping
from tallystick.vocabulary.base import Model, PositiveAmount

NAME = "runaways"
"""The name under which the document is adopted."""
MIN_THRESHOLD, MAX_THRESHOLD = 2, 10_000
_KIND = b'{"kind":"runaway_rules"'


def _read_threshold(value: Any) -> int:
    """Read a threshold; 0 of a detector that is off. YAML reads ``off`` as false."""
    if value is False or value == "off":
        return 0
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if not is_whole or not (value == 0 or MIN_THRESHOLD <= value <= MAX_THRESHOLD):
        raise ValueError(f"must be a whole number from {MIN_THRESHOLD} to {MAX_THRESHOLD:,}, or off")
    return int(value)


Threshold = Annotated[int, BeforeValidator(_read_threshold)]


class Thresholds(Model):
    """The threshold of each detector, from which on it finds a runaway; 0 where it is off."""

    repeated_tool: Threshold = Field(default=4, description="calls of one tool, arguments and result")
    repeated_cycle: Threshold = Field(default=4, description="calls that repeat a step of a cycle")
    repeated_result: Threshold = Field(default=20, description="calls of a tool that answers what it answered before")
    repeated_error: Threshold = Field(default=5, description="calls with the same error")
    repeated_prompt: Threshold = Field(default=5, description="prompts that hardly differ")
    fast_spend: Threshold = Field(default=16, description="dear minutes of the agent that were spent too much")
    agent_depth: Threshold = Field(default=10, description="agents above the deepest one")
    agents_alike: Threshold = Field(default=40, description="agents of a session that begin alike")
    context_growth: Threshold = Field(default=6, description="calls of a prompt that grows; confirms another detector")


class RunawayRules(Model):
    """The rules of an organization. A later document replaces an earlier one whole; what is left out is the default."""

    kind: Literal["runaway_rules"] = "runaway_rules"
    version: Literal[1] = 1
    page_above: PositiveAmount = Field(
        default=Decimal(50), description="units of a currency: a runaway about to cost more is a page"
    )
    detectors: Thresholds = Thresholds()


def read_rules_file(path: Path) -> RunawayRules:
    """Read rules from a file: see :func:`parse_rules`. TallyError where it cannot be read."""
    try:
        return parse_rules(path.read_text(), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise TallyError(f"cannot read the rules {path}: {error}; name a YAML file") from error


def parse_rules(text: str, name: str) -> RunawayRules:
    """Parse rules of YAML or JSON in the shape of :class:`RunawayRules`. TallyError names the field that is wrong."""
    content = parse_mapping(text, name, RULES)
    try:
        return RunawayRules.model_validate(content, strict=False)
    except ValidationError as error:
        raise build_field_error(name, RULES, content, error) from error
    except (ValueError, RecursionError) as error:
        raise build_shape_error(name, RULES, error) from error


def write_rules(rules: RunawayRules) -> str:
    """Write rules as YAML: each threshold with what it counts."""
    lines = ["kind: runaway_rules", "version: 1", f"page_above: {rules.page_above:f}", "detectors:"]
    for name, field in Thresholds.model_fields.items():
        threshold = getattr(rules.detectors, name)
        lines.append(f"  {name}: {threshold or 'off'}  # {field.description}")
    return "\n".join(lines)


def pack_rules(rules: RunawayRules) -> tuple[str, bytes]:
    """Return the document's hash and its compressed bytes, as they go onto the log."""
    return pack(rules.canonical(), "the rules of runaways", "leave out what is as by default")


def unpack_rules(digest: str, packed: bytes) -> RunawayRules | None:
    """Read rules of a document's bytes; None where it is another kind of document. LogDamaged where the bytes are not
    those of this hash."""
    try:
        content = unpack(digest, packed)
        return RunawayRules.model_validate_json(content) if content.startswith(_KIND) else None
    except ValueError as error:
        raise build_damage_error(digest, error) from error
