"""Read a contract that a person wrote, as YAML or JSON."""

from pathlib import Path

import yaml
from pydantic import ValidationError

from ledger.errors import TallyError
from ledger.pricing.contract import Contract
from ledger.yaml_files import read_yaml


def read_contract_file(path: Path) -> Contract:
    """Read a contract from a file: see :func:`parse_contract`. TallyError where it cannot be read."""
    try:
        return parse_contract(path.read_text(), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise TallyError(f"cannot read the contract {path}: {error}") from error


def parse_contract(text: str, name: str) -> Contract:
    """Parse a contract of YAML or JSON in the shape of :class:`Contract`. TallyError names the field that is wrong."""
    try:
        return Contract.model_validate(read_yaml(text), strict=False)
    except yaml.YAMLError as error:
        detail = " ".join(str(error).split())
        raise TallyError(f"contract {name} is not YAML: {detail}") from error
    except ValidationError as error:
        first = max(error.errors(), key=lambda entry: len(entry["loc"]))  # of alternatives, the one that went farthest
        location = ".".join(map(str, first["loc"])) or "the whole"
        detail = "" if isinstance(first["input"], dict | list | tuple | Contract) else f", and is {first['input']!r}"
        raise TallyError(
            f"contract {name}, {location}: {first['msg'].removeprefix('Value error, ')}{detail}: see docs/prices.md"
        ) from error
    except (ValueError, RecursionError) as error:
        raise TallyError(f"contract {name} has not the shape of a contract ({error}): see docs/prices.md") from error
