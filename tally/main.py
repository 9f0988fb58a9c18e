"""The command itself: its groups, and how it ends."""

import io
import os
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType

from ledger.home.layout import SWITCH, SWITCHING
from tally.cli.app import app
from tally.exit import Terminated, reported_failures
from tally.processes import lifeline


def main() -> None:
    """Run ``tally``: exit 0 is fine, 1 a check that failed, 2 bad input, 70 a defect of ours, 130 Ctrl-C."""
    os.umask(0o077)  # a home and all that is made in it are their owner's alone, whichever library makes it
    for stream in (sys.stdout, sys.stderr):  # names of files may be any bytes
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    lifeline.follow_parent()
    signal.signal(signal.SIGTERM, _terminate)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # scripts start background jobs with it ignored
    try:
        _recover_switch()
        app(prog_name="tally")
    except Exception:  # noqa: BLE001 whatever it is, it ends with the exit code of a defect
        traceback.print_exc()
        print("tally: this is a defect; please report it with the lines above.", file=sys.stderr)
        sys.exit(70)


def _recover_switch() -> None:
    """Complete a half-done switch of generations before any command reads the home. Most calls find none: then neither
    the settings nor a log is loaded."""
    try:
        home = Path(os.environ.get("TALLY_HOME") or ".tally").expanduser()
        if not any(file.path(home).exists() for file in (SWITCH, SWITCHING)):
            return
    except (OSError, RuntimeError):
        return  # a home that cannot be used: the command says so
    from tally.session import recover_switch, settings

    with reported_failures():
        recover_switch(settings())


def _terminate(signum: int, frame: FrameType | None) -> None:
    raise Terminated
