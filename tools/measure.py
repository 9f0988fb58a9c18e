"""Measure how the product's Python reads, and fail where a figure is above its bound.

``python tools/measure.py [--list] [PATH ...]``: without paths, every folder of the product (not the tests). ``--list``
prints the places, one a line, as ``file:line name``. Imports that run up and circles are import-linter's.
"""

import argparse
import ast
import itertools
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PRODUCT = (
    "sdk", "ledger", "ingest", "streams", "alerting", "warehouse", "audit", "dashboards", "tally", "benchmarks",
)  # fmt: skip


def split_words(text: str) -> frozenset[str]:
    """Read a list of words."""
    return frozenset(text.split())


MAX_FUNCTION_LINES = 60
MAX_FOLDER_FILES = 20
WIDE_FOLDERS = {"tally/cli"}
"""Folders with a file for each command, which stay flat."""

PARTICIPLES = split_words("""
    asked begun bound bought brought built called caught chosen closed come cut dealt done drawn driven fallen fed felt
    fixed followed forgotten found freed frozen given gone gotten grown guarded heard held hidden kept known laid
    learned led left lent listed lived locked looked lost made meant met moved named needed opened paid passed
    pinned proven put reached refused said seen sent served settled shared shown sold sought spent split spoken standing
    stood stored struck sworn taken taught thought thrown told torn turned understood used wanted weighed woken won
    written
    """)
PRONOUNS = PARTICIPLES | split_words("""
    again ahead all any anyone anybody anything apart around at away back beside both but by each either else enough
    every everybody everyone everything far few from here how in into it its itself least less lone many mine more most
    much neither nobody none nothing of off on one ones only other others ours out own rest same several so some
    somebody someone something such that theirs them there these they this those thus to upon us we what whatever where
    which whichever who whoever whole whom whose why with yet yours
    """)
"""Names that say nothing of a value: pronouns, particles, and participles without a noun."""

STORED_NAMES = split_words("kept left refused used")
"""Names that the log, the vocabulary or the warehouse defines, and that code may repeat."""

BASE_FORMS = split_words("come cut put split")
"""Participles that are verbs as well: a function may begin with them."""

LEADING_PARTICLES = split_words("about against ahead among apart around at beside between by in of off out over than")
"""Particles that no verb follows. ``to_``, ``from_``, ``as_``, ``with_`` and ``on_`` have a meaning in Python."""

PLAIN_WORDS = split_words("""
    bed bleed breed embed exceed feed need proceed red seed shed shred speed spread succeed
    being bring ceiling cling fling king ping ring sing sling spring sting string swing thing wing
    """)
"""Verbs and nouns that end like a participle and are none."""

OBLIQUE_DOCSTRING = re.compile(r"(what|whether|who|whose|whom|of|how|where|which)\b", re.IGNORECASE)


class Place(NamedTuple):
    """A file of the repository, a line of it, and the name there."""

    path: str
    line: int
    name: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line} {self.name}"


class Figure(NamedTuple):
    """One measurement: what offends, of how many, and the bound; a share in percent, or a count without ``total``."""

    title: str
    limit: float
    places: list[Place]
    total: int | None = None

    @property
    def value(self) -> float:
        """The share in percent, or the count."""
        if self.total is None:
            return len(self.places)
        return 100 * len(self.places) / self.total if self.total else 0.0

    def render(self) -> str:
        """Describe the figure in one line, with its bound."""
        if self.total is None:
            text = f"{self.title:<44} {len(self.places):>7}   (bound {self.limit:g})"
        else:
            text = (
                f"{self.title:<44} {self.value:>6.1f}%   (bound {self.limit:g} %)   {len(self.places)} of {self.total}"
            )
        return f"{text}   ABOVE" if self.value > self.limit else text


def find_names(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield each name where a module binds it: parameters, variables, fields and attributes."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id="_", ctx=ast.Store()):
                pass
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name, node.lineno
            case ast.arg(arg=name):
                if name not in ("self", "cls"):
                    yield name, node.lineno
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield name, node.lineno


def is_pronoun(name: str) -> bool:
    """Tell whether a whole name is a pronoun, a particle or a participle."""
    return name.strip("_").lower() in PRONOUNS - STORED_NAMES


def is_participle(word: str) -> bool:
    """Tell whether a word has the form of a participle: irregular ones by list, others by -ed or -ing."""
    return word in PARTICIPLES or (word.endswith(("ed", "ing")) and word not in PLAIN_WORDS and len(word) > 3)


def is_exempt(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Tell whether a function may be named by a participle: a context manager, a predicate, or one of Python's."""
    if function.name.startswith("__") and function.name.endswith("__"):
        return True
    if isinstance(function.returns, ast.Name) and function.returns.id in ("bool", "TypeGuard", "TypeIs"):
        return True
    return any("contextmanager" in ast.unparse(decorator) for decorator in function.decorator_list)


def is_nounless(name: str) -> bool:
    """Tell whether a function's name lacks its verb: a participle, a pronoun or a particle stands first."""
    first = name.strip("_").lower().split("_")[0]
    if first in BASE_FORMS:
        return False
    return is_participle(first) or first in LEADING_PARTICLES or is_pronoun(name)


def find_attribute_docstrings(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield the strings that stand below an assignment and describe it."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if not isinstance(body, list):
            continue
        for before, statement in itertools.pairwise(body):
            match statement:
                case ast.Expr(value=ast.Constant(value=str(text))) if isinstance(before, ast.Assign | ast.AnnAssign):
                    yield text, statement.lineno


def find_docstrings(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield each docstring of a module, its classes, functions and attributes, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield text, node.body[0].lineno
    yield from find_attribute_docstrings(tree)


def find_functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield each function and method of a module, inner ones included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def measure_code(files: list[Path]) -> list[Figure]:
    """Measure names, docstrings and lengths over Python files."""
    pronouns, participles, oblique, long = [], [], [], []
    totals: Counter[str] = Counter()
    for path in files:
        tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
        place = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)
        for name, line in find_names(tree):
            totals["names"] += 1
            if is_pronoun(name):
                pronouns.append(Place(place, line, name))
        for function in find_functions(tree):
            totals["functions"] += 1
            if is_nounless(function.name) and not is_exempt(function):
                participles.append(Place(place, function.lineno, function.name))
            length = (function.end_lineno or function.lineno) - function.lineno + 1
            if length > MAX_FUNCTION_LINES:
                long.append(Place(place, function.lineno, f"{function.name}, {length} lines"))
        for text, line in find_docstrings(tree):
            totals["docstrings"] += 1
            if OBLIQUE_DOCSTRING.match(text.lstrip()):
                oblique.append(Place(place, line, text.strip().splitlines()[0][:60]))
    return [
        Figure("identifiers like pronouns", 1, pronouns, totals["names"]),
        Figure("functions named by a participle", 3, participles, totals["functions"]),
        Figure("docstrings that begin with What, Whether, Of", 1, oblique, totals["docstrings"]),
        Figure(f"functions above {MAX_FUNCTION_LINES} lines", 0, long),
    ]


def measure_folders(files: list[str]) -> Figure:
    """Count the folders that hold more than ``MAX_FOLDER_FILES`` files, markers of packages aside."""
    sizes = Counter(Path(file).parent.as_posix() for file in files if "/" in file and not file.endswith("/__init__.py"))
    wide = [
        Place(folder, 1, f"{size} files")
        for folder, size in sorted(sizes.items())
        if size > MAX_FOLDER_FILES and folder not in WIDE_FOLDERS
    ]
    return Figure(f"folders of more than {MAX_FOLDER_FILES} files", 0, wide)


def list_repository_files() -> list[str]:
    """List the files of the repository, new ones included and ignored ones not."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    output = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [file for file in output.splitlines() if (ROOT / file).exists()]


def find_python_files(paths: list[Path]) -> list[Path]:
    """Find the Python files at and below some paths."""
    return sorted(file for path in paths for file in ([path] if path.is_file() else path.rglob("*.py")))


def main(arguments: list[str] | None = None) -> int:
    """Print each figure with its bound; 1 where one is above."""
    parser = argparse.ArgumentParser(description="Measure how the product's Python reads.")
    parser.add_argument("--list", action="store_true", help="print the places too, one a line")
    parser.add_argument("paths", nargs="*", type=Path, help="files or folders; by default the product's")
    options = parser.parse_args(arguments)
    paths = [path.resolve() for path in options.paths] or [ROOT / folder for folder in PRODUCT]
    figures = measure_code(find_python_files(paths))
    if not options.paths:
        figures.append(measure_folders(list_repository_files()))
    for figure in figures:
        print(figure.render())
        if options.list:
            print("".join(f"    {place}\n" for place in sorted(figure.places)), end="")
    return int(any(figure.value > figure.limit for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
