"""YAML that people write, with numbers in one form."""

import re
from typing import Any

import yaml

_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,2})?")


class _Loader(yaml.SafeLoader):
    """Reads numbers in plain digits as numbers. Other forms of YAML 1.1 (``1_0``, ``010``, ``1:30``, ``0x1f``,
    ``.inf``) stay text, which no field accepts as a number."""


def _integer(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Any:
    return int(node.value) if _INTEGER.fullmatch(node.value) else node.value


def _decimal(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Any:
    return float(node.value) if _DECIMAL.fullmatch(node.value) else node.value


_Loader.add_constructor("tag:yaml.org,2002:int", _integer)
_Loader.add_constructor("tag:yaml.org,2002:float", _decimal)


def read_yaml(text: str) -> Any:
    """Read one document. Raises yaml.YAMLError."""
    return yaml.load(text, Loader=_Loader)
