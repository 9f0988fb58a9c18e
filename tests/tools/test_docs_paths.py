"""Every path of the repository and every ``python -m`` module that a document names exists.

A path is what stands in backquotes and ends with a file's suffix or a slash, or is the target of a link. It is looked
for from the root, from the document's folder, and below that folder: a README names its files without their folders.
"""

import re
import subprocess
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[2]
MODULE = re.compile(r"python -m ([a-z_][\w.]*)")
LINK = re.compile(r"\]\(([^)#\s]+)")
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
QUOTED = re.compile(r"`([^`\s]+)`")
FILE = re.compile(r"\.?[\w*-]+(/\.?[\w.*-]+)*\.(lock|md|py|sql|svg|toml|xml|ya?ml)|\.?[\w-]+(/[\w-]+)*/")
ELSEWHERE = {"secrets.toml", "scheduling.py", "NNNN-title.md", "run/platform.lock"}
"""Streamlit's own file, a name that CONTRIBUTING.md warns of, the form of a name, and a file of a home."""
HOME = re.compile(r"(backups|consumers|generations|kafka|log|logs|rebuild|run|run/warehouse|streams|warehouse)/")
"""Folders of a home, which no repository holds."""


def list_tracked_files() -> list[str]:
    """List the files that git tracks."""
    output = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return output.splitlines()


FILES = list_tracked_files()
FOLDERS = {f"{parent}/" for file in FILES for parent in PurePosixPath(file).parents}
DOCUMENTS = [file for file in FILES if file.endswith(".md")]


def is_present(name: str, document: str) -> bool:
    """Tell whether a name is a path from the root, or a path at or below the document's folder."""
    folder = PurePosixPath(document).parent.as_posix() + "/"
    folder = "" if folder == "./" else folder
    paths = FOLDERS if name.endswith("/") else FILES
    return any(path == name or (path.startswith(folder) and f"/{path}".endswith(f"/{name}")) for path in paths)


def find_missing_paths(document: str) -> list[str]:
    """List the paths in backquotes that do not exist. Blocks of code are left out."""
    text = FENCED.sub("", (ROOT / document).read_text())
    names = {name for name in QUOTED.findall(text) if FILE.fullmatch(name) and "*" not in name}
    return sorted(n for n in names - ELSEWHERE if not HOME.fullmatch(n) and not is_present(n, document))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_path_exists(document: str) -> None:
    assert find_missing_paths(document) == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_leads_to_a_file(document: str) -> None:
    text = FENCED.sub("", (ROOT / document).read_text())
    targets = [target for target in LINK.findall(text) if "://" not in target]
    assert [target for target in targets if not (ROOT / document).parent.joinpath(target).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_module_exists(document: str) -> None:
    modules = set(MODULE.findall((ROOT / document).read_text())) - {"venv", "pip"}
    paths = {module: module.replace(".", "/") for module in modules}
    files = {file.removeprefix("sdk/") for file in FILES}
    assert [m for m, path in paths.items() if not files & {f"{path}.py", f"{path}/__main__.py"}] == []


def test_a_path_that_moved_is_found_missing() -> None:
    assert is_present("folds/chain.py", "streams/README.md") and is_present("ledger/log/", "docs/rules.md")
    assert not is_present("tree.py", "sdk/README.md") and not is_present("streams/rows/", "docs/rules.md")
