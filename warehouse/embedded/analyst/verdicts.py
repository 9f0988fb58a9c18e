"""The names of ClickHouse that analysts may use, judged for one version of the engine (``access/*.toml``).

``python -m warehouse.embedded.analyst.verdicts`` prints the names that the installed engine has and
nobody has judged. Move each into a group of its file, ``allow`` or ``refuse``, with the reason; what is refused by
mistake harms less.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent / "access"

SYNTAX = "syntax"
"""The group of functions that the parser writes and the engine lists nowhere."""

HIGHER_ORDER = "take a function"
"""The group of functions whose first argument may be the name of another."""

ENGINE_NAMES = {
    "functions": "SELECT name FROM system.functions WHERE NOT is_aggregate AND origin = 'System'",
    "aggregates": "SELECT name FROM system.functions WHERE is_aggregate AND origin = 'System'",
    "combinators": "SELECT name FROM system.aggregate_function_combinators",
    "table_functions": "SELECT name FROM system.table_functions",
    "formats": "SELECT name FROM system.formats",
    "settings": "SELECT name FROM system.settings",
    "types": "SELECT name FROM system.data_type_families",
    "system_tables": "SELECT name FROM system.tables WHERE database = 'system'",
}
"""Each kind of names, a file each, and how the engine is asked for its own."""

_SEPARATOR = re.compile(r",\s*")


class Verdicts(NamedTuple):
    """Names as the engine spells them: those allowed with their group, the others with the reason."""

    allowed: Mapping[str, str]
    refused: Mapping[str, str]


def read_verdicts(kind: str) -> Verdicts:
    """Read what was judged of one kind of ``ENGINE_NAMES``. ValueError where a name stands in two groups."""
    document = tomllib.loads((FOLDER / f"{kind}.toml").read_text())
    allowed = _parse_groups(document.get("allow", []), "group")
    refused = _parse_groups(document.get("refuse", []), "because")
    if duplicates := allowed.keys() & refused.keys():
        raise ValueError(
            f"{kind}.toml: {', '.join(sorted(duplicates))} is both allowed and refused: leave it in one group"
        )
    return Verdicts(allowed, refused)


def read_syntax() -> tuple[dict[str, frozenset[str]], dict[str, frozenset[str]]]:
    """Read which nodes a tree may have, each with its fields: those that are statements, and their parts."""
    document = tomllib.loads((FOLDER / "syntax.toml").read_text())
    statements, parts = (
        {node: frozenset(split_names(fields)) for node, fields in document[section].items()}
        for section in ("statements", "parts")
    )
    return statements, parts


def compare(verdicts: Verdicts, engine_names: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the names of the engine that nobody has judged, and the judged names that the engine does not know."""
    known_names = set(engine_names)
    judged_names = verdicts.allowed.keys() | verdicts.refused.keys()
    parser_names = {name for name, group in verdicts.allowed.items() if group == SYNTAX}
    return sorted(known_names - judged_names), sorted(judged_names - known_names - parser_names)


def split_names(text: str) -> list[str]:
    """Split names that commas separate."""
    return _SEPARATOR.split(text.strip())


def _parse_groups(groups: Iterable[Mapping[str, str]], label: str) -> dict[str, str]:
    verdicts: dict[str, str] = {}
    for group in groups:
        for name in split_names(group["names"]):
            if name in verdicts:
                raise ValueError(f"{name} is judged twice ({verdicts[name]}; {group[label]}): leave it in one group")
            verdicts[name] = group[label]
    return verdicts


def main() -> int:
    """Print what the installed engine and the verdicts do not have in common. 1 where there is any."""
    import chdb

    connection = chdb.connect(":memory:")
    differences = 0
    for kind, sql in ENGINE_NAMES.items():
        engine_names = connection.query(sql, "TSVRaw").bytes().decode().splitlines()
        unjudged, unknown = compare(read_verdicts(kind), engine_names)
        for verdict, names in (("not judged", unjudged), ("not in this engine", unknown)):
            differences += len(names)
            for name in names:
                print(f"{kind}.toml: {verdict}: {name}")
    return 1 if differences else 0


if __name__ == "__main__":
    raise SystemExit(main())
