"""The client's cost to the calling thread for a call, beside `logging` of the same fields to a file.

``python -m benchmarks.client [CALLS]``. In turns, call by call, in one process: a formatted line through `logging` with
a file handler, and `Client.record`. Once with an API that accepts events, whose delivery shares the interpreter with
the caller, at 200 calls a second; and once with nobody at the address, as fast as it goes, so that there is nothing but
the call.
"""

import logging
import statistics
import sys
import tempfile
import time
from pathlib import Path

from ledger.home.presence import find_any_presence
from ledger.home.tokens import create_token
from ledger.settings import Settings
from tally.processes.join import using
from tally.processes.service import API
from tally.session import opened
from tallystick import Client

CLOSED_URL = "http://127.0.0.1:9"
INTERVAL_S = 0.005
USAGE = {
    "model": "gpt-4o-2024-08-06",
    "usage": {"prompt_tokens": 1200, "completion_tokens": 80, "prompt_tokens_details": {"cached_tokens": 300}},
}
FIELDS = {"model": "gpt-4o", "provider": "openai", "team": "search", "feature": "answers", "session": "s-1"}


def main(calls: int = 5_000) -> None:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder) / "home", api_port=0)
        with opened(settings, new=True), using(settings, API, exclusive=True):
            facts = find_any_presence(settings, API.name)
            assert facts
            token = create_token(settings.home, ["acme"], ["write"])[1]
            _measure("delivering, 200 a second", Path(folder), facts["url"], token, calls, INTERVAL_S)
        _measure("nobody there, one after the other", Path(folder), CLOSED_URL, "t", calls, 0)


def _measure(title: str, folder: Path, url: str, token: str, calls: int, interval_s: float) -> None:
    logger = logging.getLogger("benchmark")
    logger.propagate = False
    handler = logging.FileHandler(folder / "log")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    client = Client(url, token, source="benchmark", spool=folder / "spool")
    logging.getLogger("tallystick").setLevel(logging.ERROR)
    durations: dict[str, list[float]] = {"logging": [], "record": []}
    for _ in range(calls):
        start = time.perf_counter()
        logger.info("%s %s", FIELDS, USAGE)
        between = time.perf_counter()
        client.record(usage=USAGE, **FIELDS)
        durations["record"].append(time.perf_counter() - between)
        durations["logging"].append(between - start)
        time.sleep(interval_s)
    assert client.counts.recorded == calls
    client.close(60 if interval_s else 0)
    quantiles_by_name = {name: statistics.quantiles(seconds, n=100) for name, seconds in durations.items()}
    print(f"{title}, {calls:,} calls")
    for name, quantiles in quantiles_by_name.items():
        print(f"  {name:8} p50 {quantiles[49] * 1e6:6.0f} us   p99 {quantiles[98] * 1e6:6.0f} us")
    p50, p99 = (quantiles_by_name["record"][index] / quantiles_by_name["logging"][index] for index in (49, 98))
    print(f"  record / logging: p50 {p50:.1f}, p99 {p99:.1f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
