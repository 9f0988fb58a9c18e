"""No child outlives its parent, however that dies.

A parent keeps the writing end of a pipe and hands each child the reading end. Nobody ever writes; the end of
the parent, also by SIGKILL, closes the pipe, and the child then ends itself with all that it started.
"""

import os
import signal
import threading
from functools import cache

VARIABLE = "TALLY_LIFELINE"
_held: int | None = None


@cache
def reading_end() -> int:
    """What a child inherits (``pass_fds``, and its number in the environment's ``TALLY_LIFELINE``)."""
    reading, _writing = os.pipe()  # neither is inherited unasked; the writing end stays open as long as we live
    return reading


def hold() -> None:
    """In a child: from here on, end with the parent. Nothing where no parent asked for it."""
    global _held
    descriptor = os.environ.pop(VARIABLE, None)
    if descriptor is not None:
        _held = int(descriptor)
        threading.Thread(target=_end_with_parent, args=(_held,), daemon=True).start()


def held() -> int | None:
    """In a child: what it holds, for a program that takes its place; None where no parent asked for it."""
    return _held


def _end_with_parent(descriptor: int) -> None:
    os.read(descriptor, 1)
    # Everything on disk stands a SIGKILL, and a successor must not wait for a lock: no farewell.
    # The child leads a process group of its own, so this reaches its own children too.
    os.killpg(os.getpid(), signal.SIGKILL)
