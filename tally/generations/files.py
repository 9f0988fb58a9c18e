"""The files of a generation, and how a new one takes the place of the old.

A verified generation waits in ``rebuild/`` while ``run/switch.json`` requests the switch, and the old one stays in use.
The performer appends the new generation to the log, and renames the request to ``run/switching.json``: from then on the
home belongs to the new generation. No service starts before the files are in place; the next command moves those that
are left, and each step may be repeated.
"""

import json
import shutil
import sqlite3
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ledger.fault_points import point
from ledger.home.files import database_errors, make_folder, read_json, write_atomically
from ledger.home.layout import DERIVED, SWITCH, SWITCHING
from ledger.home.locks import locked
from ledger.settings import Settings

BUILD_FOLDER, PREVIOUS_FOLDER = "rebuild", "generations"
"""Folders of the home: for the generation that is being built, and for the previous one."""
GENERATION_FILES: dict[str, tuple[str, ...]] = {
    "log/derived.db": ("-wal", "-shm"),  # moved after the file: SQLite makes them when it opens that
    "streams": (),  # on Kafka, where topics are not moved
    "warehouse": (),
    "consumers/sink.json": (),
    "consumers/verify.json": (),
    "verified": (),
}
"""Files and folders of a generation, each with the suffixes that an open one has beside it."""


class Request(NamedTuple):
    """A requested switch. ``line`` is the control record to append to ``log``, the ``TALLY_LOG`` of the request; with
    ``keep`` the old generation is kept."""

    generation: int
    before: int
    line: str
    keep: bool
    log: str | None = None


def locate_previous(settings: Settings, number: int) -> Path:
    """Return the folder of a generation that is no longer current."""
    return settings.home / PREVIOUS_FOLDER / str(number)


def request_switch(settings: Settings, request: Request) -> None:
    """Request the switch to the generation in ``rebuild/``, which no process has open."""
    build_home = settings.home / BUILD_FOLDER
    derived = DERIVED.path(build_home).absolute()
    if derived.exists():
        with database_errors(build_home, DERIVED), closing(sqlite3.connect(derived)) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    write_atomically(_request_path(settings), json.dumps(request._asdict()))
    point("switch.asked")


def read_request(settings: Settings) -> Request | None:
    """Read the pending request; None where there is none, or where it is for another log. FileDamaged."""
    request = read_json(settings.home, SWITCH, _parse_request)
    return request if request is not None and request.log == settings.log else None


def switch_lock(settings: Settings) -> AbstractContextManager[None]:
    """Hold the lock under which generations of this home are moved."""
    return locked(settings.run / "switch.lock")


def discard_generations(settings: Settings) -> None:
    """Withdraw a request, and delete the new and the previous generation."""
    with switch_lock(settings):
        withdraw_request(settings)
        shutil.rmtree(settings.home / PREVIOUS_FOLDER, ignore_errors=True)


def withdraw_request(settings: Settings) -> None:
    """Withdraw a request, and delete the new generation. The caller holds the lock."""
    _request_path(settings).unlink(missing_ok=True)
    shutil.rmtree(settings.home / BUILD_FOLDER, ignore_errors=True)


def perform_switch(settings: Settings) -> None:
    """Switch as requested. No service runs, and the caller holds the lock."""
    _request_path(settings).replace(_switching_path(settings))
    point("switch.begun")
    _move_files(settings)


def complete_switch(settings: Settings) -> None:
    """Complete a switch that was interrupted; wait for one that is under way."""
    if _switching_path(settings).exists():
        with switch_lock(settings):
            if _switching_path(settings).exists():
                _move_files(settings)


def _move_files(settings: Settings) -> None:
    """Move the files that are still in ``rebuild/``; those that are not were moved before. FileDamaged."""
    request = read_json(settings.home, SWITCHING, _parse_request)
    if request is None:
        return
    build_home, previous_home = settings.home / BUILD_FOLDER, locate_previous(settings, request.before)
    for name, endings in GENERATION_FILES.items():
        if (build_home / name).exists():
            for ending in ("", *endings):
                _move_path(settings.home / f"{name}{ending}", previous_home / f"{name}{ending}")
            point("switch.moving")
            _move_path(build_home / name, settings.home / name)
        point("switch.moved")
    if not request.keep:
        shutil.rmtree(previous_home.parent, ignore_errors=True)
    shutil.rmtree(build_home, ignore_errors=True)
    point("switch.ending")
    _switching_path(settings).unlink()


def _move_path(path: Path, target: Path) -> None:
    if path.exists():
        make_folder(target.parent)
        path.replace(target)


def _parse_request(content: Any) -> Request:
    return msgspec.convert(tuple(Request(**content)), Request)


def _request_path(settings: Settings) -> Path:
    return SWITCH.path(settings.home)


def _switching_path(settings: Settings) -> Path:
    return SWITCHING.path(settings.home)
