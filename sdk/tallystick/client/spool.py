"""The spool: events that are recorded and not delivered yet, as lines in files.

Each client writes files of its own, ``<incarnation>.<number>.ndjson``, and holds the lock of ``<incarnation>.lock`` as
long as its process lives. Files without a holder of the lock are orphans of a process that died: any client of
the folder may adopt them. A line is written by one write before its call returns; a line without its end was never
confirmed.
"""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # only the client needs it
    fcntl = None  # type: ignore[assignment]

SEGMENT_BYTES = 256 << 10
"""Bytes of a file beyond which the next one begins."""


class SpoolFull(Exception):
    """The folder holds its maximum of bytes."""


class Spool:
    """The files of one incarnation. It is not thread-safe."""

    def __init__(self, folder: Path, incarnation: str, max_bytes: int) -> None:
        """Create the files. ``max_bytes`` bounds the whole folder, of all writers. OSError where they cannot be made or
        locked."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder, self.incarnation, self._max_bytes = folder, incarnation, max_bytes
        self._lock = _create_lock(folder / f"{self.incarnation}.lock")
        self._number, self._file, self._size = 0, -1, 0
        self.current = self._name_file(0)
        """The file that is written to."""
        self._room = 0
        self._unanswered_events: dict[Path, int] = {}
        """Events of each file that the ledger has not answered for."""
        self.on_restored: Callable[[int], None] = lambda lost_events: None
        """Called when deleted files are restored, with the number of lost events."""
        self._begin_file()

    def append(self, line: bytes) -> None:
        """Write a line with its end. Nothing is written where there is no room (SpoolFull) or the disk fails (OSError).

        Nobody would deliver a file without a name once this process ends, so deleted files are restored first.
        """
        if not self._is_in_place():
            self.restore()
        if self._size and self._size + len(line) > SEGMENT_BYTES:
            self._begin_file()
        if len(line) > self._room:
            self._measure_room()
        if len(line) > self._room:
            raise SpoolFull
        try:
            written_bytes = os.write(self._file, line)
        except OSError:
            os.ftruncate(self._file, self._size)
            raise
        if written_bytes < len(line):
            os.ftruncate(self._file, self._size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._size += written_bytes
        self._room -= written_bytes
        self._unanswered_events[self.current] += 1

    @property
    def files(self) -> list[Path]:
        """The files in the order of their writing, deleted ones included."""
        return list(self._unanswered_events)

    def count_answered(self, file: Path, events: int) -> None:
        """Count events of a file as answered by the ledger."""
        if file in self._unanswered_events:
            self._unanswered_events[file] -= events

    def open_for_reading(self, file: Path) -> int:
        """Return a descriptor to read a file, for the caller to close. The open file can be read after its name is
        gone. OSError where it cannot."""
        return os.dup(self._file) if file == self.current and self._file >= 0 else os.open(file, os.O_RDONLY)

    def restore(self) -> None:
        """Restore what somebody deleted: the folder, the lock, and the open file, whose content is kept while it is
        open. Closed files that are gone are lost. OSError where they cannot be made; the open file is kept then."""
        if self._file < 0:
            return
        missing_files = [file for file in self._unanswered_events if file != self.current and not file.exists()]
        is_current_gone = not self._is_in_place()
        if is_current_gone:
            self._remake()
        lost_events = sum(self._unanswered_events.pop(file) for file in missing_files)
        if is_current_gone or lost_events:
            self.on_restored(lost_events)

    def _is_in_place(self) -> bool:
        """Tell whether the open file still has its name."""
        try:
            return os.path.samestat(self.current.stat(), os.fstat(self._file))
        except OSError:
            return False

    def _remake(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = self._folder / f"{self.incarnation}.lock"
        if not lock.exists():
            old_lock, self._lock = self._lock, _create_lock(lock)
            os.close(old_lock)
        content = os.pread(self._file, self._size, 0)
        self.current.unlink(missing_ok=True)
        file = os.open(self.current, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            if os.write(file, content) < len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            os.close(file)
            self.current.unlink(missing_ok=True)
            raise
        os.close(self._file)
        self._file = file

    def delivered(self, file: Path, size: int) -> bool:
        """Delete a file that is delivered up to ``size``; False where more was written meanwhile."""
        if file == self.current and self._file >= 0:
            if size < self._size:
                return False
            os.ftruncate(self._file, 0)
            self._size = 0
        elif file != self.current:
            file.unlink(missing_ok=True)
            self._unanswered_events.pop(file, None)
        return True

    def close(self, *, empty: bool) -> None:
        """Close the files, and delete them where all is delivered (``empty``); else the next client delivers them."""
        os.close(self._file)
        self._file = -1
        with suppress(OSError):  # the next client of the folder deletes what stays
            if empty:
                for file in files_of(self._folder, self.incarnation):
                    file.unlink(missing_ok=True)
            if not files_of(self._folder, self.incarnation):
                (self._folder / f"{self.incarnation}.lock").unlink(missing_ok=True)
        os.close(self._lock)

    def forsake(self) -> None:
        """Close the descriptors in a forked child; files and lock stay the parent's."""
        for descriptor in (self._file, self._lock):
            with suppress(OSError):
                os.close(descriptor)

    def _name_file(self, number: int) -> Path:
        return self._folder / f"{self.incarnation}.{number:08}.ndjson"

    def _begin_file(self) -> None:
        previous, file = self._file, self._name_file(self._number + 1)
        self._file = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
        self._number, self.current = self._number + 1, file
        if previous >= 0:
            os.close(previous)
        self._size = 0
        self._unanswered_events[self.current] = 0
        self._measure_room()

    def _measure_room(self) -> None:
        """Measure the room in the folder. Other processes write there too, so the bound holds within a file a
        process."""
        self._room = self._max_bytes - sum(_size(file) for file in self._folder.glob("*.ndjson"))


def files_of(folder: Path, incarnation: str) -> list[Path]:
    """Return the files of an incarnation in the order of their writing."""
    return sorted(folder.glob(f"{incarnation}.*.ndjson"))


def orphans(folder: Path) -> Iterator[list[Path]]:
    """Yield the files of each process that died, locked during the iteration; a lock without files is deleted."""
    for path in sorted(folder.glob("*.lock")):
        try:
            lock = _take_lock(path, new=False)
        except OSError:  # its process lives, or another one has adopted it
            continue
        try:
            if files := files_of(folder, path.stem):
                yield files
            if not files_of(folder, path.stem):
                path.unlink(missing_ok=True)
        finally:
            os.close(lock)


def read_lines(descriptor: int, position: int, max_bytes: int) -> tuple[list[bytes], int]:
    """Read whole lines from a position on, at most ``max_bytes`` but at least one line; return them and their end."""
    content = os.pread(descriptor, max_bytes, position)
    while b"\n" not in content and (chunk := os.pread(descriptor, max_bytes, position + len(content))):
        content += chunk
    end = content.rfind(b"\n") + 1
    return content[:end].split(b"\n")[:-1], position + end


def _create_lock(path: Path) -> int:
    """Create a lock that is held before it has its name: a client that looks for orphans at that moment would adopt a
    lock that nobody holds."""
    nameless = path.with_suffix(".new")
    descriptor = _take_lock(nameless, new=True)
    nameless.rename(path)
    return descriptor


def _take_lock(path: Path, *, new: bool) -> int:
    if fcntl is None:
        raise OSError(errno.ENOSYS, "the spool needs flock, which is missing on this system")
    descriptor = os.open(path, os.O_RDWR | (os.O_CREAT if new else 0), 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_ino != path.stat().st_ino:
            raise FileNotFoundError(errno.ENOENT, "another process took it", str(path))
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0
