"""The pages of a large ledger in a browser: ``python -m benchmarks.page_openings HOME [OPENINGS [PAGE]]``.

``HOME`` is one that ``python -m benchmarks.pages CALLS HOME`` filled. Warehouse and pages run as processes of their
own, and Chromium opens each page again and again, each time later than the app's answers live. An opening ends when the
script of the page has ended and nothing of the page before is left. Printed are the median and the 95th percentile of
the openings of each page, and medians of the processor time that the warehouse, the pages' server and the browser took.
"""

import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from benchmarks.harness.embedded import running_warehouse
from benchmarks.harness.processor import list_descendants, read_processor_s
from benchmarks.pages import PARTITION
from dashboards.sources.warehouse import MAX_AGE_S
from ledger.home.presence import find_presence
from ledger.settings import Settings

LINKS = {
    "overview, 7 days": "/?period=7d",
    "overview, all time": "/?period=all",
    "explore, 7 days by team": "/explore?period=7d",
    "explore, 30 days by team and model": "/explore?period=30d&and=model",
    "explore, 24 hours by user": "/explore?period=24h&by=user",
    "call trees, 7 days": "/trees?period=7d",
    "sessions, 7 days": "/trees?period=7d&list=sessions",
    "call": f"/call?position={PARTITION}-10-17",
    "budgets": "/budgets",
    "incidents": "/incidents",
    "trust": "/trust",
    "SQL": "/sql",
    "start": "/start",
}
WHOLE = '[data-testid="stApp"][data-test-script-state="notRunning"][data-test-connection-state="CONNECTED"]'
STALE = '[data-stale="true"], [data-testid="stSkeleton"], [data-testid="stSpinner"]'
IS_WHOLE = "([whole, stale]) => document.querySelector(whole) && !document.querySelector(stale)"
POLL_INTERVAL_MS = 20
TIMEOUT_MS = 120_000


def main(home: Path, openings: int, only: str = "") -> None:
    """Open each page so often, and print the durations. ``only`` those whose title begins with a text."""
    settings = Settings(home=home, warehouse=None, warehouse_port=0, dashboards_port=0)
    with running_warehouse(settings), _serving(settings) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(TIMEOUT_MS)
        print(f"{'':40} {'median':>8} {'p95':>8}  processor of warehouse, pages, browser")
        for title, link in LINKS.items():
            if not title.startswith(only):
                continue
            _measure_opening(page, url + link, settings)
            results = [_measure_opening(page, url + link, settings) for _ in range(openings)]
            durations_s = sorted(duration_s for duration_s, *_ in results)
            p95_s = durations_s[min(int(openings * 0.95), openings - 1)]
            print(f"{title:40} {statistics.median(durations_s):6.2f} s {p95_s:6.2f} s ", end="")
            print(*(f"{statistics.median(times):6.2f} s" for times in list(zip(*results, strict=True))[1:]), flush=True)
        browser.close()


def _measure_opening(page: Page, url: str, settings: Settings) -> tuple[float, ...]:
    """Return the duration of an opening, and the processor time that each part of the product took for it."""
    page.goto("about:blank")
    time.sleep(MAX_AGE_S + 0.5)
    processor_start_s = _read_processor_times(settings)
    start_s = time.perf_counter()
    page.goto(url)
    page.wait_for_function(IS_WHOLE, arg=[WHOLE, STALE], polling=POLL_INTERVAL_MS)
    duration_s = time.perf_counter() - start_s
    processor_s = _read_processor_times(settings)
    return duration_s, *(end_s - begin_s for begin_s, end_s in zip(processor_start_s, processor_s, strict=True))


def _read_processor_times(settings: Settings) -> tuple[float, float, float]:
    """Return the processor time so far of the warehouse, of the pages' server, and of the browser with its driver."""
    presences = [find_presence(settings.home, service) for service in ("warehouse", "dashboards")]
    servers = [int(facts["pid"]) for facts in presences if facts]
    times = dict.fromkeys(list_descendants(os.getpid()), 0.0)
    for process in times:
        with suppress(OSError):  # it ended meanwhile
            times[process] = read_processor_s(process)
    browser_s = sum(time_s for process, time_s in times.items() if process not in servers)
    return times[servers[0]], times[servers[1]], browser_s


@contextmanager
def _serving(settings: Settings) -> Iterator[str]:
    """Serve the pages of the home as at the end of the ledger's time, since periods end now; yield their address."""
    code = "import sys; from pathlib import Path; from ledger.settings import Settings; "
    code += "import dashboards.server as d; from dashboards import periods; from benchmarks.pages import NOW; "
    code += "periods.read_clock = lambda: NOW; d.serve(Settings(home=Path(sys.argv[1]), dashboards_port=0))"
    environment = os.environ | {"TALLY_HOME": str(settings.home), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    server = subprocess.Popen([sys.executable, "-c", code, str(settings.home)], env=environment)
    try:
        while (facts := find_presence(settings.home, "dashboards")) is None:
            if server.poll() is not None:
                raise RuntimeError(f"the pages ended with {server.returncode}")
            time.sleep(0.05)
        yield str(facts["url"])
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 20, *sys.argv[3:4])
