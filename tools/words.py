"""Refuse the words of ``tools/words.txt`` in the repository's text.

``python tools/words.py [FILE ...]``: without files, every text file that git knows. Prints ``file:line: old => new``
and exits 1 where a refused word stands. A word that is marked ``?`` is counted and does not fail.
"""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
WORDS = ROOT / "tools" / "words.txt"
ALLOW = "words: allow"
SKIPPED_FILES = frozenset(("tools/words.txt", "tests/tools/test_words.py", "CHANGELOG.md", "LICENSE"))
"""The list itself, its test, and the file whose purpose is to name what was renamed."""
SKIPPED_FOLDERS = ("requirements/", "docs/images/")
TEXT_SUFFIXES = frozenset(
    (".py", ".sql", ".md", ".yml", ".yaml", ".toml", ".json", ".txt", ".xml", ".css", ".js", ".html", ".sh", "")
)


class Word(NamedTuple):
    """A refused expression, its replacement, and whether it only counts yet."""

    expression: re.Pattern[str]
    replacement: str
    is_pending: bool


def read_words(text: str) -> list[Word]:
    """Read the list, one ``expression => replacement`` a line. ValueError names a line of another form."""
    words = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        expression, arrow, replacement = line.partition(" => ")
        if not arrow or not replacement.strip():
            raise ValueError(f"line {number} of the word list is not `expression => replacement`: {line}")
        words.append(Word(re.compile(expression.removeprefix("?")), replacement.strip(), expression.startswith("?")))
    return words


def list_text_files() -> list[Path]:
    """List the text files that git knows, new ones included."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    output = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [ROOT / file for file in output.splitlines()]


def is_checked(path: Path) -> bool:
    """Tell whether a file is read: text that people write, and not the list itself."""
    name = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.as_posix()
    if name in SKIPPED_FILES or name.startswith(SKIPPED_FOLDERS):
        return False
    return path.suffix in TEXT_SUFFIXES and path.is_file()


def find_words(path: Path, words: list[Word]) -> list[tuple[int, str, Word]]:
    """Find the refused words of a file: line, what stands there, and the word."""
    hits = []
    content = path.read_text(encoding="utf-8", errors="replace")
    relevant = [word for word in words if word.expression.search(content)]
    if relevant:
        for number, line in enumerate(content.splitlines(), 1):
            if ALLOW not in line:
                hits += [(number, match.group(), word) for word in relevant for match in word.expression.finditer(line)]
    return hits


def main(arguments: list[str]) -> int:
    """Check the files that are named, or all; 1 where a refused word stands."""
    words = read_words(WORDS.read_text(encoding="utf-8"))
    files = [Path(argument).resolve() for argument in arguments] or list_text_files()
    refused = 0
    pending: Counter[str] = Counter()
    for path in filter(is_checked, files):
        name = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
        for number, old, word in find_words(path, words):
            if word.is_pending:
                pending[word.expression.pattern] += 1
            else:
                refused += 1
                print(f"{name}:{number}: {old} => {word.replacement}")
    if not arguments:
        report_pending(words, pending)
    return int(refused > 0)


def report_pending(words: list[Word], pending: Counter[str]) -> None:
    """Print the counts of the words that still stand, and name those that can be refused from now on."""
    if pending:
        print(f"words that still stand: {', '.join(f'{word} {count}' for word, count in pending.most_common())}")
    for word in words:
        if word.is_pending and not pending[word.expression.pattern]:
            print(f"{WORDS.name}: no file has {word.expression.pattern} any more, so take its `?` away")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
