"""Read a contract that a person wrote, as YAML or JSON."""

from pathlib import Path

from pydantic import ValidationError

from ledger.errors import TallyError
from ledger.pricing.contract import Contract
from ledger.pricing.document_file import CONTRACT, build_field_error, build_shape_error, parse_mapping


def read_contract_file(path: Path) -> Contract:
    """Read a contract from a file: see :func:`parse_contract`. TallyError where it cannot be read."""
    try:
        return parse_contract(path.read_text(), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise TallyError(f"cannot read the contract {path}: {error}") from error


def parse_contract(text: str, name: str) -> Contract:
    """Parse a contract of YAML or JSON in the shape of :class:`Contract`. TallyError names the field that is wrong."""
    content = parse_mapping(text, name, CONTRACT)
    try:
        return Contract.model_validate(content, strict=False)
    except ValidationError as error:
        raise build_field_error(name, CONTRACT, content, error) from error
    except (ValueError, RecursionError) as error:
        raise build_shape_error(name, CONTRACT, error) from error
