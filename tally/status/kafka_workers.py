"""The workers on Kafka: several may run in one home, each with a page that shows its partitions."""

import json
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ledger.home.presence import list_presences
from ledger.settings import Settings
from tally.processes.service import STREAMS

ANSWER_TIMEOUT_S = 1.0


def list_workers(settings: Settings) -> list[dict[str, Any]]:
    """List the workers of this home that have a page: process, address of the page, and for each partition the next
    offset, the number of waiting records, and the reason if it has stopped. ``partitions`` is null where the page
    does not answer."""
    announcements = [facts for facts in list_presences(settings, STREAMS.name) if "url" in facts]
    if not announcements:
        return []
    with ThreadPoolExecutor(len(announcements)) as pool:
        return list(pool.map(_read_page, announcements))


def _read_page(facts: dict[str, Any]) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(facts["url"], timeout=ANSWER_TIMEOUT_S) as page:
            return facts | {"partitions": json.load(page)["partitions"]}
    except OSError:  # the worker is busy, or has just crashed
        return facts | {"partitions": None}
