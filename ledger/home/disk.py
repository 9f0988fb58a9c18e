"""Measure a disk: how much a folder takes, and whether there is room left."""

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path


def bytes_in(folder: Path) -> int:
    """Sum the disk space of all files below a folder (Kafka's files have holes); 0 where there is no folder."""
    total = 0
    for directory, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):  # the warehouse merges while we look
                total += os.stat(os.path.join(directory, name)).st_blocks * 512  # noqa: PTH116, PTH118 (of many files)
    return total


OUT_OF_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Error numbers of a disk, a quota or a file's limit that is reached."""

MIN_FREE_BYTES = 1 << 20
"""A disk with fewer bytes free is full."""


def describe_full_disk(folder: Path) -> str | None:
    """Return a sentence where a folder's disk is full, else None: a process that stops there often cannot say why
    itself."""
    return f"the disk of {folder} is full; free some space" if shutil.disk_usage(folder).free < MIN_FREE_BYTES else None
