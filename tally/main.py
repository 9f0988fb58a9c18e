"""The command's entry point."""

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
    """Run ``tally``: exit 0 is success, 1 a check that failed, 2 bad input, 70 a bug, 130 Ctrl-C."""
    os.umask(0o077)  # only the owner may read a home, whichever library makes its files
    for stream in (sys.stdout, sys.stderr):  # file names may be any bytes
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    lifeline.follow_parent()
    signal.signal(signal.SIGTERM, _terminate)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a script's background job inherits it ignored
    try:
        _recover_switch()
        app(prog_name="tally")
    except Exception:  # noqa: BLE001 any other error is a bug, with an exit code of its own
        traceback.print_exc()
        print("tally: this is a bug. Please report it with the lines above.", file=sys.stderr)
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
