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
from ledger.home.files import database, make_folder, read_json, write_atomically
from ledger.home.layout import DERIVED, SWITCH, SWITCHING
from ledger.home.locks import locked
from ledger.settings import Settings

BUILT, KEPT = "rebuild", "generations"
"""Folders of the home: of the generation that is being made, and of the one before the current."""
MOVED: dict[str, tuple[str, ...]] = {
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


def kept(settings: Settings, number: int) -> Path:
    """Where a generation is kept that is no longer the current one."""
    return settings.home / KEPT / str(number)


def ask(settings: Settings, request: Request) -> None:
    """Have the generation that is built become the current one. Nobody has it open."""
    built = settings.home / BUILT
    derived = DERIVED.path(built).absolute()
    if derived.exists():
        with database(built, DERIVED), closing(sqlite3.connect(derived)) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    write_atomically(_asked(settings), json.dumps(request._asdict()))
    point("switch.asked")


def asked(settings: Settings) -> Request | None:
    """The switch that waits for who performs it; None where none does. One of another log is none: the home has gone
    to this one since. FileDamaged."""
    request = read_json(settings.home, SWITCH, _request)
    return request if request is not None and request.log == settings.log else None


def alone(settings: Settings) -> AbstractContextManager[None]:
    """Be the only one who moves a generation of this home."""
    return locked(settings.run / "switch.lock")


def forget(settings: Settings) -> None:
    """Withdraw a request, and throw away what is built and what is kept."""
    with alone(settings):
        withdraw(settings)
        shutil.rmtree(settings.home / KEPT, ignore_errors=True)


def withdraw(settings: Settings) -> None:
    """Withdraw a request, and throw away what is built. The caller is alone."""
    _asked(settings).unlink(missing_ok=True)
    shutil.rmtree(settings.home / BUILT, ignore_errors=True)


def switch(settings: Settings) -> None:
    """Switch as it was asked for. No part runs, and the caller is alone."""
    _asked(settings).replace(_begun(settings))
    point("switch.begun")
    _move(settings)


def settle(settings: Settings) -> None:
    """Complete a switch that somebody began and did not end; wait for one who is at it."""
    if _begun(settings).exists():
        with alone(settings):
            if _begun(settings).exists():
                _move(settings)


def _move(settings: Settings) -> None:
    """What is done and what is still to be done is told by where the new files are. FileDamaged."""
    request = read_json(settings.home, SWITCHING, _request)
    if request is None:
        return
    built, old = settings.home / BUILT, kept(settings, request.before)
    for name, beside in MOVED.items():
        if (built / name).exists():
            for ending in ("", *beside):
                _put(settings.home / f"{name}{ending}", old / f"{name}{ending}")
            point("switch.moving")
            _put(built / name, settings.home / name)
        point("switch.moved")
    if not request.keep:
        shutil.rmtree(old.parent, ignore_errors=True)
    shutil.rmtree(built, ignore_errors=True)
    point("switch.ending")
    _begun(settings).unlink()


def _put(path: Path, to: Path) -> None:
    if path.exists():
        make_folder(to.parent)
        path.replace(to)


def _request(content: Any) -> Request:
    return msgspec.convert(tuple(Request(**content)), Request)


def _asked(settings: Settings) -> Path:
    return SWITCH.path(settings.home)


def _begun(settings: Settings) -> Path:
    return SWITCHING.path(settings.home)
