"""YAML with the line and the path of each value, for errors that say where they are. Pure."""

from collections.abc import Iterator
from typing import NamedTuple

import yaml

from ledger.errors import TallyError
from tallystick.privacy.key_shapes import replace_keys

_NULL = "tag:yaml.org,2002:null"


class Place(NamedTuple):
    """A place of a file: its name, the path to the value, and the value's line."""

    file: str
    path: tuple[str, ...]
    node: yaml.Node

    @property
    def line(self) -> int:
        """Return the line, from 1."""
        return int(self.node.start_mark.line) + 1

    @property
    def is_absent(self) -> bool:
        """Tell whether nothing stands there."""
        return self.node.tag == _NULL

    @property
    def value(self) -> str:
        """Return the value as an error shows it."""
        if isinstance(self.node, yaml.ScalarNode):
            return repr(self.node.value)
        return "a list" if isinstance(self.node, yaml.SequenceNode) else "a mapping"

    def make_error(self, problem: str) -> TallyError:
        """Make the error that names the place, and what is wrong with it. A key in it shows as its fingerprint."""
        path = ".".join(self.path)
        return TallyError(replace_keys(f"{self.file}:{self.line}: {path + ': ' if path else ''}{problem}"))

    def list_fields(self) -> Iterator[tuple[str, "Place"]]:
        """Yield names and values of a mapping; nothing where nothing stands there. TallyError where it is none, or has
        a name twice."""
        if self.is_absent:
            return
        if not isinstance(self.node, yaml.MappingNode):
            raise self.make_error(f"is {self.value}, and must be a mapping of names: write NAME: VALUE lines")
        lines: dict[str, int] = {}
        for key, node in self.node.value:
            if not isinstance(key, yaml.ScalarNode) or not key.value:
                raise self._at(key, "?").make_error("is no name: write a word or a number before the colon")
            name = key.value
            if name in lines:
                raise self._at(key, name).make_error(f"stands on line {lines[name]} too: declare it once")
            lines[name] = key.start_mark.line + 1
            yield name, self._at(node, name)

    def list_items(self) -> Iterator["Place"]:
        """Yield the items of a list; the value itself where it is none."""
        if isinstance(self.node, yaml.SequenceNode):
            for number, node in enumerate(self.node.value):
                yield self._at(node, str(number + 1))
        else:
            yield self

    def read_text(self) -> str:
        """Return a text, number or date as it is written. TallyError of a list or a mapping."""
        if not isinstance(self.node, yaml.ScalarNode):
            raise self.make_error(f"is {self.value}, and must be one value")
        return str(self.node.value)

    @property
    def is_list(self) -> bool:
        """Tell whether it is a list."""
        return isinstance(self.node, yaml.SequenceNode)

    @property
    def is_mapping(self) -> bool:
        """Tell whether it is a mapping."""
        return isinstance(self.node, yaml.MappingNode)

    def _at(self, node: yaml.Node, name: str) -> "Place":
        return Place(self.file, (*self.path, name), node)


def parse_yaml(text: str, file: str) -> Place:
    """Parse one document. TallyError where it is no YAML, or holds nothing."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        detail = getattr(error, "problem", None) or " ".join(str(error).split())
        line = f":{mark.line + 1}" if mark is not None else ""
        raise TallyError(f"{file}{line}: is not YAML: {detail}") from None
    if node is None or node.tag == _NULL:
        raise TallyError(f"{file}: declares nothing: write at least one section, such as `teams: {{}}` to end them all")
    return Place(file, (), node)
