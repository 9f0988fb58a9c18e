"""An importer that is killed leaves the log whole, and importing again adds what is missing."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ingest.files.importer import import_files
from ledger.log import partition_of, records
from ledger.log.sqlite.log import EmbeddedLog
from ledger.log.topics import EVENTS
from ledger.settings import Settings
from tests.ingest.build import LINE, azure

IMPORT = """
import sys
from pathlib import Path
from ingest.files.importer import import_files
from ledger.log.sqlite.log import EmbeddedLog
from ledger.settings import Settings
settings = Settings()
print("ready", flush=True)
import_files(EmbeddedLog(settings.home), settings, [Path(sys.argv[1])])
"""
LINES = 20_000


def on_the_log(home: Path) -> list[str]:
    """The identities in the log's order."""
    values = [record.value for record in records(EmbeddedLog(home), EVENTS, partition_of("default"))]
    return [json.loads(line)["id"] for value in values for line in value.split(b"\n")]


@pytest.mark.parametrize("fault", ["import.after_append:1", "import.after_append:7", "seed:1", "seed:2", "seed:3"])
def test_a_killed_import_is_completed_by_the_next(tmp_path: Path, fault: str) -> None:
    file = tmp_path / "trace.csv"
    file.write_bytes(azure(*[LINE.replace(b"4808", b"%d" % n) for n in range(LINES)]))
    environment = os.environ | {"TALLY_HOME": str(tmp_path), "TALLY_FAULT": fault}
    command = [sys.executable, "-c", IMPORT, str(file)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as importer:
        name, _, seed = fault.partition(":")
        if name == "seed":
            assert importer.stdout and importer.stdout.readline()
            time.sleep(random.Random(int(seed)).random() * 0.5)
            importer.kill()
        assert importer.wait() in (-signal.SIGKILL, 0)
    before = on_the_log(tmp_path)
    if name != "seed":
        assert len(before) == 500 * int(seed)
    import_files(EmbeddedLog(tmp_path), Settings(home=tmp_path), [file])
    after = on_the_log(tmp_path)
    repeated = after[len(before) :]
    assert len(set(repeated)) == LINES and before == repeated[: len(before)], fault
