"""``tally import --replace``: what is shown before and after, as text and as JSON."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.tally.conftest import invoke

SHEET = {
    "format": "csv", "source": "spend", "time": {"column": "at"}, "id": ["id"], "tokens": {"input": "in"},
    "fields": {"model": "model", "team": "team"},
}  # fmt: skip
Import = Callable[..., Any]


@pytest.fixture
def bring(tmp_path: Path) -> Import:
    (tmp_path / "map.yaml").write_text(yaml.safe_dump(SHEET))

    def bring(amount: int, *options: str, stdin: str | None = None) -> Any:
        (tmp_path / "spend.csv").write_text(f"at,id,model,in,team\n2026-05-04T10:00:00Z,1,m,{amount},\n")
        arguments = "import", str(tmp_path / "spend.csv"), "--mapping", str(tmp_path / "map.yaml"), *options
        return invoke(*arguments, stdin=stdin, TALLY_HOME=str(tmp_path / "home"), COLUMNS="200")

    return bring


def test_a_replacement_says_of_the_files_what_an_import_says(bring: Import) -> None:
    facts = json.loads(bring(1, "--json").stdout)
    assert "(fields.team) is empty in every row" in facts["warnings"][0]
    assert facts["unpriced"] == [{"reason": "no price of the model", "events": 1, "models": ["m"]}]
    counts = {"kept": 0, "replaced": 1, "reversed": 0, "added": 0, "repeated": 0}
    replace = "--replace", "spend"

    dry = json.loads(bring(2, *replace, "--dry-run", "--json").stdout)
    assert dry["dry_run"] and dry["replacement"] == counts
    assert [dry[name] for name in ("files", "warnings", "skipped_files")] == [facts["files"], facts["warnings"], []]

    declined = bring(2, *replace, stdin="n\n")
    assert declined.returncode == 1 and "0 events kept, 1 replaced" in declined.stdout
    assert (
        "warning: the column 'team'" in declined.stderr and "Replace what 'spend' of 'default' has" in declined.stderr
    )

    replaced = json.loads(bring(2, *replace, "--yes", "--json").stdout)
    assert replaced["replacement"] == counts and replaced["counted"] == replaced["accepted"] == 1
    assert (replaced["files"], replaced["warnings"]) == (facts["files"], facts["warnings"])
