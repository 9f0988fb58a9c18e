"""Back up the embedded log while others append."""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from ledger.errors import TallyError
from ledger.home.files import create_private, make_folder
from ledger.home.layout import RECORDED, ROUTES, SECRETS, TOKENS
from ledger.log.sqlite import tables
from ledger.log.topics import EVENTS

COPIED_FILES = (SECRETS, TOKENS, ROUTES)


def back_up(home: Path, folder: Path) -> tuple[int, int]:
    """Copy the recorded topics, as they are at one moment, with the home's secrets, tokens and webhooks. The folder is
    a home then, from which everything else is derived again. Return the records of ``tally.events`` and the bytes of
    the copy.

    The folder appears whole or not at all. TallyError where it holds something, or cannot be written."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise TallyError(f"{folder} is there already: name a new folder, a backup overwrites nothing")
    new = folder.absolute().with_name(f".{folder.absolute().name}.{os.getpid()}.new")
    try:
        make_folder(new / "log")
        records = _copy_log(RECORDED.path(home), RECORDED.path(new))
        for file in COPIED_FILES:  # after the records: no key that one of them needs is missing
            if file.path(home).exists():
                create_private(file.path(new))
                shutil.copyfile(file.path(home), file.path(new))
        new.rename(folder)
    except TallyError as error:
        raise TallyError(f"cannot back up {home} to {folder}: {error}") from error
    except (OSError, sqlite3.Error) as error:
        raise TallyError(f"cannot back up {home} to {folder}: {error}; name a folder that can be written") from error
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return records, sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _copy_log(path: Path, copy: Path) -> int:
    create_private(copy)
    with closing(tables.open_file(path, writes=False)) as source, closing(sqlite3.connect(copy.absolute())) as target:
        source.backup(target)  # in one step, which is one moment of a log in WAL mode
        target.execute("PRAGMA journal_mode=DELETE")  # one file, without another beside it
        (result,) = target.execute("PRAGMA quick_check(1)").fetchone()
        if result != "ok":
            raise TallyError(
                f"{path} is damaged, and so would be a copy of it ({result}): restore it from an older one"
            )
        return sum(tables.find_last(target, EVENTS, number)[0] + 1 for number in range(EVENTS.partitions))
