"""The public CI runs every folder of tests once, and the hook on commit messages refuses other forms."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]


def test_every_folder_of_tests_is_in_one_part() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    matrix = workflow["jobs"]["test"]["strategy"]["matrix"]
    folders = sorted(folder for part in matrix["include"] for folder in part["folders"].split())
    assert folders == sorted(path.name for path in (ROOT / "tests").iterdir() if (path / "__init__.py").exists())
    assert [part["part"] for part in matrix["include"]] == matrix["part"]


def test_tests_in_a_browser_are_in_the_part_that_installs_one() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    job = workflow["jobs"]["test"]
    (condition,) = (step["if"] for step in job["steps"] if "chromium" in step.get("run", ""))
    (folders,) = (
        part["folders"].split() for part in job["strategy"]["matrix"]["include"]
        if condition == f"matrix.part == '{part['part']}'"
    )  # fmt: skip
    tests = ROOT / "tests"
    users = {path.relative_to(tests).parts[0] for path in tests.rglob("*.py") if "playwright" in path.read_text()}
    assert users - {"tools"} <= set(folders)


def test_the_workflow_makes_all_that_the_local_run_makes() -> None:
    workflow, local_run = (ROOT / name for name in (".github/workflows/ci.yml", ".ci/run"))
    targets = set(re.findall(r"- run: make (\S+)", workflow.read_text())) - {"setup"}
    local_targets = set(re.findall(r"^make (\S+)", local_run.read_text(), re.MULTILINE))
    assert targets == local_targets - {"test"} | {"lint", "test-only"}


def test_hooks_name_programs_that_exist() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    for hook in config["repos"][0]["hooks"]:
        for program in hook["entry"].split():
            if "/" in program:
                assert (ROOT / program).exists(), f"{hook['id']}: {program}"


@pytest.mark.parametrize(
    ("subject", "is_accepted"),
    [
        ("fix(ingest): refuse a budget below zero", True),
        ("docs: explain relays", True),
        ("feat!: rename the topic of the folds' state", True),
        ("Fixed some things", False),
        ("wish(ingest): be faster", False),
        ("fix(ingest): refuse a budget below zero.", False),
        ("fix(ingest): " + "x" * 60, False),
    ],
)
def test_a_commit_message_has_its_form(subject: str, is_accepted: bool, tmp_path: Path) -> None:
    message = tmp_path / "message"
    message.write_text(f"{subject}\n\nwhy\n")
    result = subprocess.run([ROOT / "tools" / "commit-message", message], capture_output=True, text=True, check=False)
    assert (result.returncode == 0) == is_accepted, result.stderr
