"""The files of a generation, and how a new one takes the place of the old.

A verified generation waits in ``rebuild/`` while ``run/switch.json`` asks for the switch, and the old one goes on. Who
performs it has the log name the new one, and renames that to ``run/switching.json``: from there on the home is the new
one's. Nothing starts before the files are in their places; whoever comes first puts them there, and each step may be
repeated.
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
"""Folders of the home: of the generation that is being made, and of the one before the current."""
GENERATION_FILES: dict[str, tuple[str, ...]] = {
    "log/derived.db": ("-wal", "-shm"),  # put away after the file: whoever opens that makes them
    "streams": (),  # on Kafka, where the topics stay in their places
    "warehouse": (),
    "consumers/sink.json": (),
    "consumers/verify.json": (),
}
"""What a generation is, and what an old one may have beside it. A new one, which nobody has open, has not."""


class Request(NamedTuple):
    """``line`` is the decision as it will stand on the log, which is that of this ``TALLY_LOG``; ``keep`` says whether
    the old generation is kept."""

    generation: int
    before: int
    line: str
    keep: bool
    log: str | None = None


def locate_previous(settings: Settings, number: int) -> Path:
    """Where a generation is kept that is no longer the current one."""
    return settings.home / PREVIOUS_FOLDER / str(number)


def request_switch(settings: Settings, request: Request) -> None:
    """Have the generation that is built become the current one. Nobody has it open."""
    build_home = settings.home / BUILD_FOLDER
    derived = DERIVED.path(build_home).absolute()
    if derived.exists():
        with database_errors(build_home, DERIVED), closing(sqlite3.connect(derived)) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    write_atomically(_request_path(settings), json.dumps(request._asdict()))
    point("switch.asked")


def read_request(settings: Settings) -> Request | None:
    """The switch that waits for who performs it; None where none does. One of another log is none: the home has gone
    to this one since. FileDamaged."""
    request = read_json(settings.home, SWITCH, _parse_request)
    return request if request is not None and request.log == settings.log else None


def switch_lock(settings: Settings) -> AbstractContextManager[None]:
    """Be the only one who moves a generation of this home."""
    return locked(settings.run / "switch.lock")


def discard_generations(settings: Settings) -> None:
    """Withdraw a request, and throw away what is built and what is kept."""
    with switch_lock(settings):
        withdraw_request(settings)
        shutil.rmtree(settings.home / PREVIOUS_FOLDER, ignore_errors=True)


def withdraw_request(settings: Settings) -> None:
    """Withdraw a request, and throw away what is built. The caller is alone."""
    _request_path(settings).unlink(missing_ok=True)
    shutil.rmtree(settings.home / BUILD_FOLDER, ignore_errors=True)


def perform_switch(settings: Settings) -> None:
    """Switch as it was asked for. No part runs, and the caller is alone."""
    _request_path(settings).replace(_switching_path(settings))
    point("switch.begun")
    _move_files(settings)


def complete_switch(settings: Settings) -> None:
    """Complete a switch that somebody began and did not end; wait for one who is at it."""
    if _switching_path(settings).exists():
        with switch_lock(settings):
            if _switching_path(settings).exists():
                _move_files(settings)


def _move_files(settings: Settings) -> None:
    """What is done and what is still to be done is told by where the new files are. FileDamaged."""
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
