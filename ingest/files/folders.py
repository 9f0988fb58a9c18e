"""Files of a folder that can be imported: session files of coding agents, as they lie."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ingest.adapters.head import Head, read_head
from ingest.adapters.registry import find_format
from ingest.files.lines import BOM
from ledger.errors import TallyError

MAX_HEAD_BYTES, MAX_FIRST_LINE_BYTES = 1 << 20, 32 << 20
PATTERN = "*.jsonl"


class Beginning(NamedTuple):
    """The first lines of a file, and whether the first one goes on beyond them."""

    content: bytes
    is_cut: bool

    def parse_head(self) -> Head:
        return read_head(self.content, is_cut=self.is_cut)


class Files(NamedTuple):
    """Files to import, and files of folders that are of no known format."""

    paths: list[Path]
    skipped: list[Path]


def read_beginning(path: Path) -> Beginning:
    """Read the first lines of a file, without byte order mark; those behind a first line that is too long. OSError
    where it cannot be read."""
    with path.open("rb") as file:
        content = file.read(MAX_HEAD_BYTES)
        if len(content) == MAX_HEAD_BYTES and b"\n" not in content:
            # A session may begin with a picture; a document in one line has nothing behind it.
            is_followed = file.readline(MAX_FIRST_LINE_BYTES).endswith(b"\n")
            content = (file.read(MAX_HEAD_BYTES) if is_followed else b"") or content
    is_whole = len(content) < MAX_HEAD_BYTES
    content = content.removeprefix(BOM)
    lines, newline, _ = content.rpartition(b"\n")
    return Beginning(content, False) if is_whole else Beginning(lines if newline else content, not newline)


def expand_folders(files: Sequence[Path], *, any_format: bool) -> Files:
    """Replace folders by their session files, the oldest first, since later ones may hold copies. With ``any_format``
    all JSON lines are taken. TallyError where a folder holds none."""
    paths: list[Path] = []
    skipped: list[Path] = []
    for path in files:
        if not path.is_dir():
            paths.append(path)
            continue
        try:
            candidates = sorted(path.rglob(PATTERN), key=lambda file: (file.stat().st_mtime_ns, str(file)))
            known = [file for file in candidates if file.is_file() and (any_format or _is_known(file))]
        except OSError as error:
            raise TallyError(f"cannot read {error.filename}: {error.strerror}; nothing was imported") from error
        if not known:
            raise TallyError(
                f"{path} holds no session files of Claude Code or Codex ({PATTERN}): name ~/.claude/projects, "
                "~/.codex/sessions, or files"
            )
        paths += known
        known_files = set(known)
        skipped += [file for file in candidates if file not in known_files]
    return Files(paths, skipped)


def _is_known(file: Path) -> bool:
    source = find_format(read_beginning(file).parse_head())
    return source is not None and source.rows is not None
