"""docs/security.md names a test for each threat: every one of them exists."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


def test_every_test_that_the_threats_name_exists() -> None:
    names = TEST.findall((ROOT / "docs" / "security.md").read_text())
    assert len(names) > 40
    missing = [
        f"{path}::{name}"
        for path, name in names
        if not (ROOT / path).is_file() or (name and f"def {name}(" not in (ROOT / path).read_text())
    ]
    assert missing == []
