"""No child outlives its parent, however that dies.

A parent keeps the writing end of a pipe and hands each child the reading end. Nobody ever writes; the end of
the parent, also by SIGKILL, closes the pipe, and the child then ends itself with all that it started.
"""

import os
import signal
import threading
from functools import cache

VARIABLE = "TALLY_LIFELINE"
_descriptor: int | None = None


@cache
def get_reading_end() -> int:
    """What a child inherits (``pass_fds``, and its number in the environment's ``TALLY_LIFELINE``)."""
    reading_end, _writing_end = os.pipe()  # neither is inherited unasked; the writing end stays open as long as we live
    return reading_end


def follow_parent() -> None:
    """In a child: from here on, end with the parent. Nothing where no parent asked for it."""
    global _descriptor
    descriptor = os.environ.pop(VARIABLE, None)
    if descriptor is not None:
        _descriptor = int(descriptor)
        threading.Thread(target=_end_with_parent, args=(_descriptor,), daemon=True).start()


def get_descriptor() -> int | None:
    """In a child: what it holds, for a program that takes its place; None where no parent asked for it."""
    return _descriptor


def _end_with_parent(descriptor: int) -> None:
    os.read(descriptor, 1)
    # Everything on disk stands a SIGKILL, and a successor must not wait for a lock: no farewell.
    # The child leads a process group of its own, so this reaches its own children too.
    os.killpg(os.getpid(), signal.SIGKILL)
