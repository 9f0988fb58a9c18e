"""Run the HTTP API and the folds of a fresh home, in the platform's environment: ``python tests/clients/api_process.py
HOME``.

Prints its address and tokens, then for each line of its standard input the events on its log, all as JSON.
"""

import json
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from ledger.home.presence import find_presence
from ledger.home.tokens import create_token
from ledger.log import partition_of, records
from ledger.log.open import open_log
from ledger.log.topics import EVENTS
from ledger.settings import Settings
from tally.session import opened

ORGANIZATION = "acme"
START_TIMEOUT_S = 60


def main(home: Path) -> None:
    settings = Settings(home=home)
    home.mkdir(parents=True, exist_ok=True)
    _, bearer = create_token(home, [ORGANIZATION], ["write"])
    _, admin_bearer = create_token(home, [ORGANIZATION], ["admin", "read"])
    with opened(settings, new=True):  # with its prices
        processes = [_start(home, "api", "serve")]
    try:
        processes.append(_start(home, "streams", "worker"))
        facts = {"url": _await_url(home), "bearer": bearer, "admin_bearer": admin_bearer}
        print(json.dumps(facts), flush=True)
        for _ in sys.stdin:
            print(json.dumps(list_events(settings)), flush=True)
    finally:
        for process in processes:
            process.terminate()
            process.wait(30)


def _start(home: Path, *command: str) -> "subprocess.Popen[bytes]":
    environment = {
        "TALLY_HOME": str(home), "TALLY_API_PORT": "0", "TALLY_HOSTS": "models.example.com", "PATH": "/usr/bin:/bin",
    }  # fmt: skip
    with (home / f"{command[0]}.log").open("wb") as output:
        return subprocess.Popen(
            [Path(sys.executable).with_name("tally"), *command],
            env=environment, stdout=output, stderr=output, stdin=subprocess.DEVNULL,
        )  # fmt: skip


def _await_url(home: Path) -> str:
    end_s = time.monotonic() + START_TIMEOUT_S
    while (presence := find_presence(home, "api")) is None:
        if time.monotonic() > end_s:
            raise SystemExit(f"the API did not start: {(home / 'api.log').read_text()}")
        time.sleep(0.05)
    return str(presence["url"])


def list_events(settings: Settings) -> list[Any]:
    with closing(open_log(settings)) as log:
        stored = [record.value for record in records(log, EVENTS, partition_of(ORGANIZATION))]
    return [json.loads(line) for value in stored for line in value.splitlines() if line]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
