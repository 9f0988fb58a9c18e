"""Measure a disk: how much a folder takes, and whether there is room left."""

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path


def bytes_in(folder: Path) -> int:
    """That all files below it take on the disk (Kafka's are longer, with holes); 0 where there is none."""
    total = 0
    for directory, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):  # the warehouse merges while we look
                total += os.stat(os.path.join(directory, name)).st_blocks * 512  # noqa: PTH116, PTH118 (of many files)
    return total


OUT_OF_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says where a disk, a quota or a file's limit is reached."""

MIN_FREE_BYTES = 1 << 20
"""A disk with less than so many bytes free is full."""


def describe_full_disk(folder: Path) -> str | None:
    """Return a sentence where a folder's disk has no room: what stops there often cannot say why itself."""
    return f"the disk of {folder} is full; free some space" if shutil.disk_usage(folder).free < MIN_FREE_BYTES else None
