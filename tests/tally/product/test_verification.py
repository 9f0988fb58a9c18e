"""The running product verifies when that is due, and says what came of it."""

import json
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ledger.home.files import write_atomically
from ledger.home.layout import VERIFY_REPORT
from ledger.settings import Settings
from tally.exit import Failure
from tally.product import verification
from tally.product.verification import Verification


class Process:
    """Stands for ``tally verify``."""

    started = 0
    failure: Failure | None = None

    def __init__(self, *_: Any) -> None:
        type(self).started += 1

    def is_alive(self) -> bool:
        return False

    def stop(self) -> None:
        pass

    def wait(self) -> None:
        if self.failure:
            raise self.failure


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> type[Process]:
    class Fresh(Process):
        pass

    monkeypatch.setattr(verification, "Child", Fresh)
    return Fresh


def poll(settings: Settings, times: int) -> None:
    with ExitStack() as stack:
        verifications = Verification(settings, stack)
        for _ in range(times):
            verifications.poll()


def report(home: Path, age_s: float, difference: dict[str, Any] | None = None) -> None:
    at = datetime.fromtimestamp(time.time() - age_s, UTC).isoformat()
    facts = {"at": at, "behind": 0, "difference": difference, "records": 1, "recomputed": 1, "views": 0}
    write_atomically(VERIFY_REPORT.path(home), json.dumps(facts | {"positions": {}}))


@pytest.mark.parametrize(
    ("every_s", "age_s", "started"),
    [(0, None, 0), (60, None, 1), (60, 1, 0), (60, 61, 1), (0, 61, 0)],
)  # fmt: skip
def test_it_begins_when_it_is_due(
    tmp_path: Path, process: type[Process], every_s: int, age_s: float | None, started: int
) -> None:
    if age_s is not None:
        report(tmp_path, age_s)
    poll(Settings(home=tmp_path, verify_every=every_s), 3)
    assert process.started == started


def test_a_damaged_report_is_written_anew(tmp_path: Path, process: type[Process]) -> None:
    write_atomically(VERIFY_REPORT.path(tmp_path), "{")
    poll(Settings(home=tmp_path, verify_every=60), 2)
    assert process.started == 1


def test_a_difference_is_shown_with_its_place(
    tmp_path: Path, process: type[Process], capsys: pytest.CaptureFixture[str]
) -> None:
    difference = {
        "what": "the model analytics.fct_usage", "where": {}, "log": "as it is", "topic": "", "warehouse": "another",
        "way_out": "build the models again",
    }  # fmt: skip
    report(tmp_path, 100, difference)
    process.failure = Failure("ended", 1)
    poll(Settings(home=tmp_path, verify_every=60), 2)
    shown = capsys.readouterr().err
    assert "the model analytics.fct_usage" in shown and "build the models again" in shown
    process.failure = Failure("there is no log", 2)
    poll(Settings(home=tmp_path, verify_every=60), 2)
    assert "there is no log" in capsys.readouterr().err
