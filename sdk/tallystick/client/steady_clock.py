"""A clock for deadlines: it goes on while the machine sleeps, where the system has such a clock, and nobody sets it."""

import time

_BOOT_CLOCK: int | None = getattr(time, "CLOCK_BOOTTIME", None)


def read_clock_s() -> float:
    return time.monotonic() if _BOOT_CLOCK is None else time.clock_gettime(_BOOT_CLOCK)
