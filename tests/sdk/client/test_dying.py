"""The application is killed with SIGKILL, and the API too, at moments of a seed: every event whose call returned is
counted once, in order."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.ingest.api.conftest import Served
from tests.sdk.conftest import group_by_source, list_files, read_inferences
from tests.tally.conftest import eventually

APPLICATION = """
import os, random, sys, threading
from tallystick import Client

chance = random.Random(sys.argv[1])
client = Client(source="app")

def work():
    while True:
        with client.session(agent="a") as session, session.call(model="m", feature="outer"):
            id = client.record(model="m", tokens={"input": chance.randrange(9)})
        os.write(1, f"{id}\\n".encode())

for _ in range(chance.choice((1, 1, 3))):
    threading.Thread(target=work, daemon=True).start()
threading.Event().wait()
"""


@pytest.mark.parametrize("seed", [1, 2, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(3, 103))])
def test_what_was_recorded_is_counted_once_and_in_order(api_server: Served, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    environment = os.environ | {
        "TALLY_URL": api_server.address.geturl(), "TALLY_TOKEN": api_server.bearer("write"),
        "TALLY_SPOOL": str(tmp_path / "spool"),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }  # fmt: skip
    returned: set[str] = set()
    for life in range(chance.randint(2, 4)):
        process = subprocess.Popen(
            [sys.executable, "-c", APPLICATION, f"{seed}-{life}"], env=environment, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert process.stdout
        first_lines = [process.stdout.readline()]  # it works
        reader = chance.uniform(0, 0.6)
        if chance.random() < 0.5:
            time.sleep(reader / 2)
            api_server.kill()
            if chance.random() < 0.7:
                api_server.start()
        time.sleep(reader)
        process.kill()
        output = b"".join(first_lines) + process.communicate()[0]
        returned |= set(output.decode().rpartition("\n")[0].split("\n"))
    if api_server.process is None or api_server.process.poll() is not None:
        api_server.start()
    spool = tmp_path / "spool"
    last = "from tallystick import Client; import threading; c = Client(source='app'); threading.Event().wait()"
    with subprocess.Popen([sys.executable, "-c", last], env=environment, stderr=subprocess.DEVNULL) as process:
        eventually(lambda: not list_files(spool))
        process.kill()
    by_source = group_by_source(read_inferences(api_server))
    missing = returned - {str(event["id"]) for events in by_source.values() for event in events}
    assert not missing, f"seed {seed}: {len(missing)} of {len(returned)} returned and are not there"
    for source, events in by_source.items():
        numbers = [event["sequence"] for event in events]
        assert numbers == list(range(1, len(numbers) + 1)), f"seed {seed}: {source} is out of order"
