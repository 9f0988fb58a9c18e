"""Files of a home: what making one must leave alone."""

import subprocess
import sys
from contextlib import closing
from pathlib import Path

from ledger.log import Draft
from ledger.log.sqlite.log import EmbeddedLog
from ledger.log.topics import EVENTS

OPEN_AND_CLOSE = "import sys; from pathlib import Path; from ledger.log.sqlite.log import EmbeddedLog; "
OPEN_AND_CLOSE += "EmbeddedLog(Path(sys.argv[1])).close()"


def test_a_second_opening_does_not_drop_the_locks_of_the_first(tmp_path: Path) -> None:
    """POSIX locks go when a process closes any descriptor of the file. Without them the next process that leaves takes
    itself for the last one and deletes the journal, with whatever is appended to it from then on."""
    with closing(EmbeddedLog(tmp_path)) as log, closing(EmbeddedLog(tmp_path)):
        subprocess.run([sys.executable, "-c", OPEN_AND_CLOSE, str(tmp_path)], check=True)
        log.append(EVENTS, [Draft(0, "acme", {}, b"{}")])
        with closing(EmbeddedLog(tmp_path)) as other:
            assert other.end(EVENTS, 0) == 1
        count = "import sys; from pathlib import Path; from ledger.log.sqlite.log import EmbeddedLog; "
        count += "from ledger.log.topics import EVENTS; print(EmbeddedLog(Path(sys.argv[1])).end(EVENTS, 0))"
        seen = subprocess.run([sys.executable, "-c", count, str(tmp_path)], check=True, capture_output=True, text=True)
        assert seen.stdout.strip() == "1"
