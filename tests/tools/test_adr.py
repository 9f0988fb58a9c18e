"""The index of the decisions names each file of `docs/adr/`, and each file has its parts."""

import re
from pathlib import Path

import pytest

ADR = Path(__file__).parents[2] / "docs" / "adr"
FILES = sorted(ADR.glob("[0-9]*.md"))


def test_the_index_names_every_decision_with_its_status() -> None:
    rows = re.findall(r"^\| \[(\d{4})\]\(([^)]+)\) \| ([^|]+) \|", (ADR / "README.md").read_text(), flags=re.MULTILINE)
    assert [file for _, file, _ in rows] == [path.name for path in FILES]
    for number, file, status in rows:
        assert file.startswith(number)
        assert f"**Status**: {status.strip()}" in (ADR / file).read_text()
    assert [int(number) for number, _, _ in rows] == list(range(1, len(FILES) + 1))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_decision_has_its_parts_and_fits_a_page(path: Path) -> None:
    text = path.read_text()
    for part in ("**Status**", "**Context.**", "**Decision.**", "**Consequences.**"):
        assert part in text
    assert len(text.splitlines()) <= 60
