"""Named points at which a test may kill the process, to prove that a kill there does no harm."""

import os
import signal

_hits: dict[str, int] = {}


def point(name: str) -> None:
    """Do nothing, unless the environment's ``TALLY_FAULT=name:n`` kills the process (SIGKILL) at the n-th passing."""
    fault = os.environ.get("TALLY_FAULT")
    if fault is None:
        return
    _hits[name] = _hits.get(name, 0) + 1
    if fault == f"{name}:{_hits[name]}":
        os.kill(os.getpid(), signal.SIGKILL)
