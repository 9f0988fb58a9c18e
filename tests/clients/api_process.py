"""Run the HTTP API of a fresh home, in the platform's environment: ``python tests/clients/api_process.py HOME``.

Prints its address and a token, then for each line of its standard input the events on its log, all as JSON.
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

ORGANIZATION = "acme"
START_TIMEOUT_S = 60


def main(home: Path) -> None:
    settings = Settings(home=home)
    home.mkdir(parents=True, exist_ok=True)
    _, bearer = create_token(home, [ORGANIZATION], ["write"])
    command = [Path(sys.executable).with_name("tally"), "api", "serve"]
    environment = {"TALLY_HOME": str(home), "TALLY_API_PORT": "0", "PATH": "/usr/bin:/bin"}
    with (home / "api.log").open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
    try:
        print(json.dumps({"url": _await_url(home), "bearer": bearer}), flush=True)
        for _ in sys.stdin:
            print(json.dumps(list_events(settings)), flush=True)
    finally:
        process.terminate()
        process.wait(30)


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
