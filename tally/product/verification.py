"""Verify the ledger again and again while the product runs (``TALLY_VERIFY_EVERY``)."""

import time
from contextlib import ExitStack
from datetime import datetime
from typing import Any

from audit.verify.report import write_conclusion
from ledger.errors import TallyError
from ledger.home.files import read_json
from ledger.home.layout import VERIFY_REPORT
from ledger.settings import Settings
from tally.exit import Failure
from tally.output import err
from tally.processes.service import VERIFY, Child


class Verification:
    """``tally verify`` as a process of the product, each time that it falls due after the last report."""

    def __init__(self, settings: Settings, stack: ExitStack) -> None:
        """``stack`` ends the process with the product."""
        self._settings = settings
        self._child: Child | None = None
        self._due = self._find_due_time() if settings.verify_every else None
        stack.callback(self._stop)

    def poll(self) -> None:
        """Begin a verification that is due, and report one that has ended."""
        if self._child is not None:
            if not self._child.is_alive():
                self._report(self._child)
                self._child = None
        elif self._due is not None and time.time() >= self._due:
            self._due = time.time() + self._settings.verify_every
            self._child = Child(self._settings, VERIFY)

    def _stop(self) -> None:
        if self._child is not None:
            self._child.stop()

    def _find_due_time(self) -> float:
        try:
            ended_at = read_json(self._settings.home, VERIFY_REPORT, lambda content: str(content["at"]))
            last = 0.0 if ended_at is None else datetime.fromisoformat(ended_at).timestamp()
        except (TallyError, ValueError):
            last = 0.0  # the report is written anew
        return last + self._settings.verify_every

    def _report(self, child: Child) -> None:
        try:
            child.wait()
        except Failure as failure:
            facts = self._read_difference() if failure.exit_code == 1 else None
            text = str(failure) if facts is None else write_conclusion(facts)
            err.print(f"✗ tally verify: {text}", style="bold red", markup=False)
        else:
            err.print("[green]✓[/] verified: log, topics and warehouse are equal")

    def _read_difference(self) -> dict[str, Any] | None:
        """Return the report, if it tells a difference."""
        report = read_json(self._settings.home, VERIFY_REPORT, dict)
        return report if report is not None and report.get("difference") else None
