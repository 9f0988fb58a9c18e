"""The processor time of processes, as Linux counts it."""

import os
from pathlib import Path


def read_processor_s(process_id: int) -> float:
    """Return the processor time that a process has taken so far, of all its threads."""
    fields = _read_fields(process_id)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def list_descendants(process_id: int) -> list[int]:
    """List the processes that a process started, and those that they started."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int(_read_fields(int(folder.name))[1])
        except OSError:  # the process ended meanwhile
            continue
    descendants = [process_id]
    for parent in descendants:
        descendants += [child for child, own_parent in parents.items() if own_parent == parent]
    return descendants[1:]


def _read_fields(process_id: int) -> list[str]:
    """Return the fields of a process's ``stat`` after its name, which may hold spaces."""
    return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
