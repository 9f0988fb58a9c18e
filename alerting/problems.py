"""Problems with the alerts of a home, for `tally status`. Reads only."""

from contextlib import closing
from pathlib import Path

from alerting import routes
from alerting.delivery_store import FILE, Deliveries, set_aside_files
from ledger.errors import TallyError
from ledger.home.presence import find_presence

SERVICE = "alerts"


def find_troubles(home: Path) -> list[str]:
    """Name each file of the alerts that is damaged, cannot be used, or was set aside, with its way out."""
    troubles: list[str] = []
    try:
        routes.list_routes(home)
    except TallyError as error:
        troubles.append(str(error))
    try:
        if (home / FILE).exists():
            with closing(Deliveries(home, writes=False)) as deliveries:
                deliveries.count_by_state()
    except TallyError as error:
        troubles.append(str(error))
    trouble = (find_presence(home, SERVICE) or {}).get("trouble")
    if trouble and trouble not in troubles:  # only the writer meets a full disk or a read-only file
        troubles.append(trouble)
    return troubles + [
        f"{path} was damaged and is set aside: what was pending in it, and what was raised between its last delivery "
        "and that moment, was not sent (see the incidents and budgets pages); delete it when you have seen to that"
        for path in set_aside_files(home)
    ]
