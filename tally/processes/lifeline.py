"""No child outlives its parent, however that dies.

A parent keeps the writing end of a pipe, and each child inherits the reading end. Nothing is ever written. The end of
the parent, also by SIGKILL, closes the pipe, and the child then kills itself and its children.
"""

import os
import signal
import threading
from functools import cache

VARIABLE = "TALLY_LIFELINE"
_descriptor: int | None = None


@cache
def get_reading_end() -> int:
    """Return the descriptor that children inherit: by ``pass_fds``, with its number in ``TALLY_LIFELINE``."""
    reading_end, _writing_end = os.pipe()  # the writing end is not inherited, and stays open in this process
    return reading_end


def follow_parent() -> None:
    """End this process with its parent, from now on. Does nothing without ``TALLY_LIFELINE``."""
    global _descriptor
    descriptor = os.environ.pop(VARIABLE, None)
    if descriptor is not None:
        _descriptor = int(descriptor)
        threading.Thread(target=_end_with_parent, args=(_descriptor,), daemon=True).start()


def get_descriptor() -> int | None:
    """Return the inherited descriptor, for a program that replaces this one; None without ``TALLY_LIFELINE``."""
    return _descriptor


def _end_with_parent(descriptor: int) -> None:
    os.read(descriptor, 1)
    # Files survive a SIGKILL, and a successor must not wait for a lock: so there is no clean-up.
    # The child leads a process group of its own, so the signal reaches its own children too.
    os.killpg(os.getpid(), signal.SIGKILL)
