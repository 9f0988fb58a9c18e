"""The folds' workers on Kafka: several may run in one home, each with a page that says how its partitions are."""

import json
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ledger.home.presence import list_presences
from ledger.settings import Settings
from tally.processes.service import STREAMS

ANSWER_TIMEOUT_S = 1.0


def list_workers(settings: Settings) -> list[dict[str, Any]]:
    """Each worker of this home that shows a page: its process, the page's address, and by partition the offset that
    comes next, how many records wait, and why it stands still if it does. ``partitions`` is null where the page does
    not answer."""
    announcements = [facts for facts in list_presences(settings, STREAMS.name) if "url" in facts]
    if not announcements:
        return []
    with ThreadPoolExecutor(len(announcements)) as pool:
        return list(pool.map(_read_page, announcements))


def _read_page(facts: dict[str, Any]) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(facts["url"], timeout=ANSWER_TIMEOUT_S) as page:
            return facts | {"partitions": json.load(page)["partitions"]}
    except OSError:  # it is busy, or has just died
        return facts | {"partitions": None}
