"""A service that waits is woken at once, and nobody needs it to run."""

import threading
import time
from contextlib import closing
from pathlib import Path

from ledger.home.presence import announce
from ledger.home.wakes import Sleeper, Waker


def test_a_wake_ends_a_wait_and_one_that_came_before_ends_the_next(tmp_path: Path) -> None:
    waker = Waker(tmp_path, "folds")
    with closing(Sleeper()) as sleeper:
        announce(tmp_path, "folds", wake_port=sleeper.port)
        for delay_s in (0, 0.05):
            threading.Timer(delay_s, waker.wake).start()
            sleeper.wait(60)
        threading.Timer(0.05, sleeper.wake).start()
        sleeper.wait(60)
        start_s = time.monotonic()
        sleeper.wait(0.01)
        assert time.monotonic() - start_s >= 0.01, "nothing more came"


def test_a_wake_of_nobody_or_of_a_damaged_file_is_none(tmp_path: Path) -> None:
    for content in (None, "{", '{"pid": 1}', '{"pid": 1, "wake_port": "x"}', '{"pid": 1, "wake_port": 9}'):
        if content is not None:
            (tmp_path / "run").mkdir(exist_ok=True)
            (tmp_path / "run" / "folds.json").write_text(content)
        waker = Waker(tmp_path, "folds")
        waker.wake()
        waker.wake()
