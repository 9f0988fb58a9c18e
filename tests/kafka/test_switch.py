"""The switch to a new generation on Kafka, killed or overtaken: log and home name the same one, or are told apart.

What is switched to is built by nobody here: the parts are real in ``tests/faults/test_rebuild.py``.
"""

import subprocess
import sys
import uuid
from contextlib import closing
from pathlib import Path

import pytest

from ledger.log import records
from ledger.log.kafka.cluster import cluster_of
from ledger.log.kafka.generations import create_generation, list_generations
from ledger.log.kafka.log import KafkaLog
from ledger.log.open import open_log
from ledger.log.topics import EVENTS
from ledger.settings import Settings
from tally.generations import files, switch
from tally.session import opened, recover_switch
from tests.tally.conftest import home_environment

REBUILD = """
from pathlib import Path
from audit.verify.totals import Totals
from audit.verify.verify import Report
from ledger.settings import Settings
from tally.product import rebuild as rebuilding
from tally.generations.compare import Differences
from tests.kafka.test_switch import laid

def built(beside, log, workers):
    laid(beside.home, str(beside.generation))
    return 1.0, Report(Totals(), Totals(), Totals(), None, {}, 0), Differences(0, 0, None, None)

rebuilding._build_and_verify = built
rebuilding.rebuild(Settings())
"""
FILES = ("warehouse/store", "streams/rows", "consumers/sink.json", "consumers/verify.json")


def laid(home: Path, said: str) -> None:
    """Files of a generation, each of which says which one it is."""
    for name in FILES:
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(said)


def of_home(settings: Settings) -> set[int]:
    """Which generations the files are of."""
    return {int((settings.home / name).read_text()) for name in FILES}


def rebuild(settings: Settings, fault: str = "") -> int:
    environment = {"TALLY_HOME": str(settings.home), "TALLY_LOG": str(settings.log)}
    more = {"TALLY_FAULT": fault} if fault else {}
    return subprocess.run([sys.executable, "-c", REBUILD], env=home_environment(environment | more)).returncode


def decisions(log: KafkaLog) -> int:
    """How many partitions have heard of a new generation."""
    heard = (b"".join(one.value for one in records(log, EVENTS, partition)) for partition in range(16))
    return sum(b"generation.activated" in said for said in heard)


@pytest.fixture
def settings(kafka: str, tmp_path: Path) -> Settings:
    """A home of the first generation."""
    made = Settings(home=tmp_path / "home", log=f"kafka://{kafka}/{uuid.uuid4()}")
    open_log(made, new=True).close()
    laid(made.home, "1")
    return made


BEFORE = ("rebuild.verified:1", "switch.asked:1", "switch.recorded:1")
AFTER = ("switch.begun:1", *(f"switch.{at}:{n}" for at in ("moving", "moved") for n in (1, 2)), "switch.ending:1")


@pytest.mark.parametrize("fault", ["switch.named:1", *(pytest.param(one, marks=pytest.mark.long) for one in AFTER)])
def test_a_kill_after_the_log_names_the_new_one_is_completed_by_who_comes_next(settings: Settings, fault: str) -> None:
    assert rebuild(settings, fault) == -9
    recover_switch(settings)
    with opened(settings) as log:
        assert isinstance(log, KafkaLog)
        assert (log.generation, of_home(settings), decisions(log)) == (2, {2}, 16)
    assert files.read_request(settings) is None and not (settings.home / files.BUILD_FOLDER).exists()


@pytest.mark.long
@pytest.mark.parametrize("fault", BEFORE)
def test_a_kill_before_leaves_the_old_one_and_the_next_has_a_number_of_its_own(settings: Settings, fault: str) -> None:
    assert rebuild(settings, fault) == -9
    with opened(settings) as log:
        assert (log.generation, of_home(settings)) == (1, {1})
    assert rebuild(settings) == 0
    with opened(settings) as log:
        assert isinstance(log, KafkaLog)
        assert (log.generation, of_home(settings), decisions(log)) == (3, {3}, 16)
    assert list_generations(cluster_of(settings)) == {1, 3}


@pytest.mark.long
@pytest.mark.parametrize("completes", [True, False])
def test_a_request_is_withdrawn_where_another_home_has_rebuilt_or_begun(
    settings: Settings, tmp_path: Path, completes: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = settings.model_copy(update={"home": tmp_path / "elsewhere"})
    assert rebuild(settings, "switch.asked:1") == -9
    if completes:
        assert rebuild(elsewhere) == 0
    else:
        with closing(KafkaLog(cluster_of(settings))) as log:
            assert create_generation(log) == 3
    with opened(settings) as log:
        assert files.read_request(settings) is not None
        switch.carry_out(settings, log)
        assert files.read_request(settings) is None
        assert (log.generation, of_home(settings)) == (3 if completes else 1, {1})
    said = "generation 3 became current meanwhile" if completes else "its topics were deleted"
    assert f"generation 2 was discarded: {said}" in capsys.readouterr().err
