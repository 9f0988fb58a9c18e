"""The pages of a large ledger in a browser: ``python -m benchmarks.page_openings HOME [OPENINGS]``.

``HOME`` is one that ``python -m benchmarks.pages CALLS HOME`` filled. Warehouse and pages run as processes of their
own, and Chromium opens each page again and again, each time later than the app's answers live. An opening ends when the
script of the page has ended and nothing of the page before is left. Printed are the median and the 95th percentile of
the openings of each page.
"""

import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from benchmarks.harness.embedded import running_warehouse
from dashboards.sources.warehouse import MAX_AGE_S
from ledger.home.presence import find_presence
from ledger.settings import Settings

LINKS = {
    "overview, 7 days": "/?period=7d",
    "overview, all time": "/?period=all",
    "explore": "/explore",
    "call trees": "/trees",
    "budgets": "/budgets",
    "runaways": "/runaways",
    "trust": "/trust",
    "start": "/start",
}
WHOLE = '[data-testid="stApp"][data-test-script-state="notRunning"][data-test-connection-state="CONNECTED"]'
STALE = '[data-stale="true"], [data-testid="stSkeleton"], [data-testid="stSpinner"]'
TIMEOUT_MS = 120_000


def main(home: Path, openings: int) -> None:
    """Open each page so often, and print the durations."""
    settings = Settings(home=home, warehouse=None, warehouse_port=0, dashboards_port=0)
    with running_warehouse(settings), _serving(settings) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(TIMEOUT_MS)
        print(f"{'':40} {'median':>8} {'p95':>8}")
        for title, link in LINKS.items():
            durations_s = sorted(_measure_opening(page, url + link) for _ in range(openings))
            p95_s = durations_s[min(int(openings * 0.95), openings - 1)]
            print(f"{title:40} {statistics.median(durations_s):6.2f} s {p95_s:6.2f} s", flush=True)
        browser.close()


def _measure_opening(page: Page, url: str) -> float:
    page.goto("about:blank")
    time.sleep(MAX_AGE_S + 0.5)
    start_s = time.perf_counter()
    page.goto(url)
    page.wait_for_selector(WHOLE)
    page.wait_for_function("selector => !document.querySelector(selector)", arg=STALE)
    page.wait_for_selector(WHOLE)
    return time.perf_counter() - start_s


@contextmanager
def _serving(settings: Settings) -> Iterator[str]:
    """Serve the pages of the home; yield their address."""
    code = "import sys; from pathlib import Path; from ledger.settings import Settings; "
    code += "import dashboards.server as d; d.serve(Settings(home=Path(sys.argv[1]), dashboards_port=0))"
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
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 20)
