"""YAML that people write, with numbers in one form, days as text, and each key once."""

import re
from collections.abc import Hashable
from datetime import datetime
from typing import Any

import yaml

_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,2})?")


class DuplicateKey(yaml.YAMLError):
    """A key stands twice in one mapping, and the first value would be lost. The sentence names its line."""


class _Loader(yaml.SafeLoader):
    """Reads numbers in plain digits as numbers. Other forms of YAML 1.1 (``1_0``, ``010``, ``1:30``, ``0x1f``,
    ``.inf``) stay text, which no field accepts as a number. Days, and times without a zone or that no calendar has,
    stay text too: their fields name them as they are written."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = set()
        for key_node, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag == "tag:yaml.org,2002:merge":
                continue
            if key_node.value in keys:
                line = key_node.start_mark.line + 1
                raise DuplicateKey(f"line {line}: the key {key_node.value!r} stands twice in one mapping: remove one")
            keys.add(key_node.value)
        return super().construct_mapping(node, deep)


def _integer(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Any:
    return int(node.value) if _INTEGER.fullmatch(node.value) else node.value


def _decimal(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Any:
    return float(node.value) if _DECIMAL.fullmatch(node.value) else node.value


def _timestamp(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Any:
    try:
        time = loader.construct_yaml_timestamp(node)
    except ValueError:
        return node.value
    return time if isinstance(time, datetime) and time.tzinfo is not None else node.value


_Loader.add_constructor("tag:yaml.org,2002:timestamp", _timestamp)
_Loader.add_constructor("tag:yaml.org,2002:int", _integer)
_Loader.add_constructor("tag:yaml.org,2002:float", _decimal)


def read_yaml(text: str) -> Any:
    """Read one document. Raises yaml.YAMLError."""
    return yaml.load(text, Loader=_Loader)
