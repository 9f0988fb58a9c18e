"""What the detectors find of sessions made from a seed, as `python -m benchmarks.runaways.detection` measures it."""

import random

import pytest

from benchmarks.runaways.detection import Labelled, list_traffic
from benchmarks.runaways.healthy import HEALTHY
from benchmarks.runaways.loops import LOOPS
from benchmarks.runaways.watchers import run_folds

SESSIONS = 5
SEED = 100  # thresholds were set on seeds 1 and 2


@pytest.mark.parametrize("pattern", LOOPS)
def test_a_runaway_is_found_once_it_runs(pattern: str) -> None:
    draw = random.Random(SEED)
    made = [session for _ in range(SESSIONS) for session in LOOPS[pattern](draw)]
    sessions = {f"s{number}": Labelled(pattern, session) for number, session in enumerate(made)}
    pages = run_folds(list_traffic(sessions, SEED))
    onsets = {name: labelled.session.onset for name, labelled in sessions.items()}
    found = [name for name, onset in onsets.items() if onset is not None and pages.get(name, -1) >= onset]
    assert len(found) == SESSIONS, f"seed {SEED}"
    assert pages.keys() == set(found), f"seed {SEED}: paged before the runaway began"


@pytest.mark.parametrize("pattern", HEALTHY)
def test_a_healthy_session_pages_nobody(pattern: str) -> None:
    draw = random.Random(SEED)
    made = [session for _ in range(SESSIONS) for session in HEALTHY[pattern][0](draw)]
    sessions = {f"s{number}": Labelled(pattern, session) for number, session in enumerate(made)}
    assert run_folds(list_traffic(sessions, SEED)) == {}, f"seed {SEED}"
