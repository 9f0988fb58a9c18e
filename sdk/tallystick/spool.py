"""The spool: what was recorded and is not delivered yet, as lines in files.

Each client writes files of its own, ``<incarnation>.<number>.ndjson``, and holds the lock of ``<incarnation>.lock`` as
long as its process lives. Files whose lock nobody holds were left by a process that died: any client of the folder
may adopt them. A line is written whole, by one write, before its call returns; what lacks its end was never answered.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # the vocabulary is of use without it, the client is not
    fcntl = None  # type: ignore[assignment]

SEGMENT = 256 << 10
"""Bytes of a file, beyond which the next one begins."""


class Full(Exception):
    """The folder holds as many bytes as it may."""


class Spool:
    """The files of one incarnation. Not for several threads at once."""

    def __init__(self, folder: Path, incarnation: str, most: int) -> None:
        """``most`` bytes in the whole folder, whoever wrote them. OSError where it cannot be made or locked."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder, self.incarnation, self._most = folder, incarnation, most
        self._lock = _made(folder / f"{self.incarnation}.lock")
        self._number, self._file, self._size = 0, -1, 0
        self._room = 0
        self._next()

    @property
    def current(self) -> Path:
        """The file that is written to."""
        return self._folder / f"{self.incarnation}.{self._number:08}.ndjson"

    def append(self, line: bytes) -> None:
        """Write a line with its end. Where there is no room (Full), or the disk refuses (OSError), it is not there."""
        if self._size and self._size + len(line) > SEGMENT:
            self._next()
        if len(line) > self._room:
            self._look_for_room()
        if len(line) > self._room:
            raise Full
        try:
            written = os.write(self._file, line)
        except OSError:
            os.ftruncate(self._file, self._size)
            raise
        if written < len(line):
            os.ftruncate(self._file, self._size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._size += written
        self._room -= written

    def delivered(self, file: Path, size: int) -> bool:
        """Forget a file that was delivered up to ``size``; False where more stands in it meanwhile."""
        if file == self.current and self._file >= 0:
            if size < self._size:
                return False
            os.ftruncate(self._file, 0)
            self._size = 0
        elif file != self.current:
            file.unlink(missing_ok=True)
        return True

    def close(self, *, empty: bool) -> None:
        """Leave the rest to who comes next; nothing, where all was delivered."""
        os.close(self._file)
        self._file = -1
        if empty:
            for file in files_of(self._folder, self.incarnation):
                file.unlink(missing_ok=True)
        if not files_of(self._folder, self.incarnation):
            (self._folder / f"{self.incarnation}.lock").unlink(missing_ok=True)
        os.close(self._lock)

    def forsake(self) -> None:
        """In a forked child: the parent's files and lock are the parent's."""
        for descriptor in (self._file, self._lock):
            with suppress(OSError):
                os.close(descriptor)

    def _next(self) -> None:
        before, self._number = self._file, self._number + 1
        try:
            self._file = os.open(self.current, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError:
            self._number -= 1  # the one before is still the one that is written to
            raise
        if before >= 0:
            os.close(before)
        self._size = 0
        self._look_for_room()

    def _look_for_room(self) -> None:
        """Others of the folder write and deliver, too, so it is a bound within a file a process."""
        self._room = self._most - sum(_size(file) for file in self._folder.glob("*.ndjson"))


def files_of(folder: Path, incarnation: str) -> list[Path]:
    """Its files in the order of their writing."""
    return sorted(folder.glob(f"{incarnation}.*.ndjson"))


def orphans(folder: Path) -> Iterator[list[Path]]:
    """Of each process that died its files, which are ours while they are looked at; those that are gone in the end
    are forgotten with their lock."""
    for path in sorted(folder.glob("*.lock")):
        try:
            lock = _locked(path, new=False)
        except OSError:  # it lives, or another one has adopted it
            continue
        try:
            if files := files_of(folder, path.stem):
                yield files
            if not files_of(folder, path.stem):
                path.unlink(missing_ok=True)
        finally:
            os.close(lock)


def lines(file: Path, position: int, most: int) -> tuple[list[bytes], int]:
    """Whole lines from a position on, at most so many bytes but at least one line, and where they end."""
    with file.open("rb") as opened:
        opened.seek(position)
        read = opened.read(most)
        while b"\n" not in read and (more := opened.read(most)):
            read += more
    end = read.rfind(b"\n") + 1
    return read[:end].split(b"\n")[:-1], position + end


def _made(path: Path) -> int:
    """A new lock that is ours from the moment in which it has its name: whoever looks for orphans may look right then,
    and would adopt what nobody holds yet."""
    nameless = path.with_suffix(".new")
    descriptor = _locked(nameless, new=True)
    nameless.rename(path)
    return descriptor


def _locked(path: Path, *, new: bool) -> int:
    if fcntl is None:
        raise OSError(errno.ENOSYS, "the spool needs flock, which this system lacks")
    descriptor = os.open(path, os.O_RDWR | (os.O_CREAT if new else 0), 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_ino != path.stat().st_ino:
            raise FileNotFoundError(errno.ENOENT, "another one took it", str(path))
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0
