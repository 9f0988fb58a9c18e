"""The summary of an import."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ingest.files.outcomes import Range
from ingest.intake.privacy import Removed
from ingest.intake.rejection import Rejection
from ledger.log import Record

MAX_SHOWN_REJECTIONS = 20
MAX_REMOVED_PATHS = 100


class RefusedLine(NamedTuple):
    path: Path
    line: int
    field: str
    reason: str


@dataclass
class Imported:
    """Counts of one file: ``received = accepted + rejected``. Rows that hold no call of their own are ``skipped``."""

    path: Path
    format: str
    source: str | None
    accepted: int = 0
    rejected: int = 0
    skipped: int = 0
    unknown_usage: int = 0
    """Accepted events with usage that could not be read as classes."""
    left_out: Counter[str] = field(default_factory=Counter)
    """Events by names of fields that an adapter left out."""

    @property
    def received(self) -> int:
        return self.accepted + self.rejected

    def count_usage(self, data: Mapping[str, Any]) -> None:
        """Count what an adapter could not read of an event."""
        self.unknown_usage += data.get("usage_source") == "unknown"
        self.left_out.update(data.get("left_out", ()))


@dataclass
class Summary:
    """The counts of an import, also of one that was interrupted; the log is consistent then."""

    files: list[Imported] = field(default_factory=list)
    removed: Removed = field(default_factory=Removed)
    """Values of unknown fields that were removed, by path and type."""
    refusals: list[RefusedLine] = field(default_factory=list)
    """The first rejections."""
    warnings: list[str] = field(default_factory=list)
    appended: list[Range] = field(default_factory=list)
    interrupted: KeyboardInterrupt | None = None
    skipped_files: list[Path] = field(default_factory=list)
    """Files of a folder that are of no known format."""

    @property
    def accepted(self) -> int:
        return sum(file.accepted for file in self.files)

    @property
    def rejected(self) -> int:
        return sum(file.rejected for file in self.files)

    @property
    def received(self) -> int:
        return self.accepted + self.rejected

    def add(self, record: Record) -> None:
        """Add an appended record; one that follows the last extends its range."""
        last = self.appended[-1] if self.appended else None
        if last and last.partition == record.partition and last.last + 1 == record.offset:
            self.appended[-1] = last._replace(last=record.offset)
        else:
            self.appended.append(Range(record.partition, record.offset, record.offset))

    def add_refusal(self, path: Path, line: int, rejection: Rejection) -> None:
        if len(self.refusals) < MAX_SHOWN_REJECTIONS:
            self.refusals.append(RefusedLine(path, line, rejection.field, rejection.reason))

    def add_removed(self, removed: Removed) -> None:
        """Count removed values by path, and by type alone beyond ``MAX_REMOVED_PATHS`` paths."""
        for (path, kind), times in removed.items():
            is_counted = (path, kind) in self.removed or len(self.removed) < MAX_REMOVED_PATHS
            self.removed[path if is_counted else "?", kind] += times
