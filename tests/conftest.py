"""What holds for every test."""

import os
import signal
from collections.abc import Generator
from pathlib import Path

import pytest

pytest_plugins = ["tests.kafka.plugin", "tests.warehouse.plugin"]

collect_ignore = ["clients"]
"""Tests of an environment of their own: ``make test-clients``."""

TEST_DATA = "TALLY_TEST_DATA"
"""Names the folder of published traces and reports, which no repository may hold."""


def find_test_data(name: str) -> Path:
    """Return a file of the folder that TALLY_TEST_DATA names; the test has the mark `traces`. Without it, skip."""
    path = Path(os.environ.get(TEST_DATA, "")) / name
    if TEST_DATA not in os.environ or not path.is_file():
        pytest.skip(f"NOT TESTED: {TEST_DATA} names no folder that holds {name}")
    return path


# A run in the background (`nohup make test &`) ignores these, and every process that a test starts would too.
for _number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.default_int_handler if _number == signal.SIGINT else signal.SIG_DFL)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of the files in ``slow_files.txt``, and put them first, in its order: a long file that came last
    would keep one worker busy while the others have nothing to do. UsageError where a file of the list is gone."""
    folder = Path(__file__).parent
    names = [line for line in (folder / "slow_files.txt").read_text().splitlines() if not line.startswith("#")]
    if missing := [name for name in names if not (folder / name).exists()]:
        raise pytest.UsageError(f"tests/slow_files.txt names {', '.join(missing)}, which is gone: take it out")
    places = {folder / name: place for place, name in enumerate(names)}
    items.sort(key=lambda item: places.get(item.path, len(places)))
    for item in items:
        if item.path in places:
            item.add_marker(pytest.mark.slow)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A part that is missing on a machine is skipped; in CI it fails, but for traces that nobody named."""
    report = yield
    unnamed = item.get_closest_marker("traces") and TEST_DATA not in os.environ
    if report.skipped and "CI" in os.environ and not unnamed:
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow: {report.longrepr}"
    return report
