"""The embedded product for a measurement: a folded log, and its warehouse as a process."""

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.harness import workload
from ledger.home.presence import find_presence
from ledger.log import Draft, Record
from ledger.log.documents import store_document
from ledger.log.sqlite.log import EmbeddedLog
from ledger.log.topics import EVENTS
from ledger.settings import Settings
from streams.embedded.store import Store
from streams.embedded.worker import Partition
from streams.runtime import read_catalogues


def fold_ledger(home: Path, records: Sequence[Record]) -> tuple[Settings, EmbeddedLog]:
    """Create a log with these records in partition 0, folded to its end."""
    log = EmbeddedLog(home)
    for digest, packed in workload.build_documents().items():
        store_document(log, digest, packed)
    log.append(EVENTS, [Draft(0, record.key, record.headers, record.value) for record in records])
    partition = Partition(0, log, Store(home), read_catalogues(log))
    while partition.step():
        pass
    return Settings(home=home, warehouse=None, warehouse_port=0), log


@contextmanager
def running_warehouse(settings: Settings) -> Iterator[None]:
    """Run the home's warehouse."""
    code = "import sys; from pathlib import Path; from ledger.settings import Settings; "
    code += "import warehouse.embedded.server as w; w.serve(Settings(home=Path(sys.argv[1])), 0)"
    server = subprocess.Popen([sys.executable, "-c", code, str(settings.home)])
    try:
        while find_presence(settings.home, "warehouse") is None:
            if server.poll() is not None:
                raise RuntimeError(f"the warehouse ended with {server.returncode}")
            time.sleep(0.05)
        yield
    finally:
        server.terminate()
        server.wait()
