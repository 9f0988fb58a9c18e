"""Meters: what was spent in the window of a limit, and what is reserved and leased of it now.

Spend lies in buckets of its time. The meter's clock is the log's; as it passes a bucket, the one that leaves the window
is taken off the sum, so reading a window costs one row. Buckets stay for one window more, for facts that come late.
What is reserved or leased belongs to no bucket: it counts whole until it is settled, returned or expires, so no window
in which the call may fall can be exceeded by it.
"""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from streams.folds.grants.limits import EXHAUSTED, Limit
from streams.folds.state import State

NAME = "grants"
METER, BUCKET = "meter", "bucket"
REARM_PERMILLE = 900


class MeterKey(NamedTuple):
    """The identity of a meter."""

    organization: str
    grant: str
    limit_key: str


class Meter(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The state of a meter."""

    bucket: int = -1  # that the clock stands in
    span: int = 1  # buckets of a window
    used: int = 0  # in the window that ends there
    unknown_calls: int = 0  # in that window, of unknown cost
    reserved: int = 0
    leased: int = 0
    fired: tuple[int, ...] = ()  # thresholds that are not armed
    rearm_us: int = 0  # none is armed again by time before this moment; 0 is not known yet
    rearmed: tuple[int, ...] = ()  # thresholds that time has armed again, which is not told yet

    @property
    def committed(self) -> int:
        """Return what is reserved and leased."""
        return self.reserved + self.leased


class Crossing(NamedTuple):
    """Thresholds that one event crossed. ``is_past``: only in a window that has ended."""

    key: MeterKey
    thresholds: tuple[int, ...]
    used: int
    is_past: bool = False


def read_meter(state: State, key: MeterKey, limit: Limit, now_us: int) -> Meter:
    """Return the meter of a limit in the window that ends now. Its clock moves on, and never back."""
    meter = load_meter(state, key)
    bucket, window = limit.window.find_bucket(now_us), limit.window
    if meter.bucket < 0:
        return _write_meter(state, key, limit, replace(meter, bucket=bucket, span=window.span), now_us)
    if bucket <= meter.bucket:
        return meter
    used, unknown_calls, fired = meter.used, meter.unknown_calls, meter.fired
    for step in range(meter.bucket + 1, min(bucket, meter.bucket + window.span) + 1):
        amount, calls = read_bucket(state, key, step - window.span)
        used, unknown_calls = used - amount, unknown_calls - calls
        fired = tuple(threshold for threshold in fired if not _is_below_rearm_level(limit, used, threshold))
    oldest = meter.bucket - 2 * window.span
    for expired in range(oldest, min(meter.bucket, bucket - 2 * window.span) + 1):
        if state.get((NAME, BUCKET, *key, expired)) is not None:
            state.delete((NAME, BUCKET, *key, expired))
    rearm_us = meter.rearm_us if fired == meter.fired else 0
    rearmed = meter.rearmed + tuple(threshold for threshold in meter.fired if threshold not in fired)
    meter = replace(
        meter, bucket=bucket, used=used, unknown_calls=unknown_calls, fired=fired, rearm_us=rearm_us, rearmed=rearmed
    )
    return _write_meter(state, key, limit, meter, now_us)


def commit(state: State, key: MeterKey, *, reserved: int = 0, leased: int = 0) -> None:
    """Reserve or lease an amount, or with a negative one take it back; also where the limit itself is gone."""
    meter = load_meter(state, key)
    meter = replace(meter, reserved=meter.reserved + reserved, leased=meter.leased + leased)
    assert meter.reserved >= 0 and meter.leased >= 0, "nothing is taken back twice"
    state.put((NAME, METER, *key), meter, (meter.rearm_us or None) if meter.fired or meter.rearmed else None)


def spend(
    state: State, key: MeterKey, limit: Limit, amount: int, time_us: int, now_us: int, *, unknown_calls: int = 0
) -> Crossing | None:
    """Count an amount in the bucket of a time that is not after now, and return the thresholds that it crosses."""
    meter = read_meter(state, key, limit, now_us)
    span, bucket = limit.window.span, limit.window.find_bucket(time_us)
    if bucket <= meter.bucket - 2 * span:
        return None
    former, former_calls = read_bucket(state, key, bucket)
    state.put((NAME, BUCKET, *key, bucket), (former + amount, former_calls + unknown_calls))
    if bucket > meter.bucket - span:
        meter = replace(meter, used=meter.used + amount, unknown_calls=meter.unknown_calls + unknown_calls)
    crossed: tuple[int, ...] = ()
    if meter.used * 100 >= min(limit.thresholds[0], EXHAUSTED) * limit.amount:
        crossed = _find_crossed(limit, meter.used, meter.fired)
    if crossed:
        meter = replace(meter, fired=meter.fired + crossed, rearm_us=0)
    _write_meter(state, key, limit, meter, now_us)
    if crossed:
        return Crossing(key, crossed, meter.used)
    if bucket == meter.bucket or amount <= 0:
        return None
    used = _find_greatest_window(state, key, limit, bucket, meter)
    past = _find_crossed(limit, used, (*meter.fired, *_find_reached(limit, used - amount)))
    return Crossing(key, past, used, True) if past else None


def unspend(
    state: State, key: MeterKey, limit: Limit | None, amount: int, bucket: int, now_us: int, *, unknown_calls: int = 0
) -> None:
    """Take an amount out of the bucket in which it was counted, while the meter has that bucket; also where the limit
    itself is gone."""
    meter = load_meter(state, key) if limit is None else read_meter(state, key, limit, now_us)
    if bucket <= meter.bucket - 2 * meter.span:
        return
    former, former_calls = read_bucket(state, key, bucket)
    state.put((NAME, BUCKET, *key, bucket), (former - amount, former_calls - unknown_calls))
    if bucket > meter.bucket - meter.span:
        used, calls = meter.used - amount, meter.unknown_calls - unknown_calls
        meter = replace(meter, used=used, unknown_calls=calls, rearm_us=0)
        if limit is None:
            state.put((NAME, METER, *key), meter)
        else:
            _write_meter(state, key, limit, meter, now_us)


def cross_thresholds(state: State, key: MeterKey, limit: Limit, now_us: int) -> Crossing | None:
    """Return the thresholds that a meter has reached by a limit that is new or was changed. Those that it is below are
    armed again, so that they are told once it reaches them."""
    meter = read_meter(state, key, limit, now_us)
    fired = tuple(threshold for threshold in meter.fired if meter.used * 100 >= threshold * limit.amount)
    crossed = _find_crossed(limit, meter.used, fired)
    _write_meter(state, key, limit, replace(meter, fired=fired + crossed, rearm_us=0), now_us)
    return Crossing(key, crossed, meter.used) if crossed else None


def rearm_thresholds(state: State, key: MeterKey, limit: Limit, now_us: int) -> tuple[int, ...]:
    """Move the clock of a meter that fell due, and return the thresholds that time has armed again."""
    meter = read_meter(state, key, limit, now_us)
    _write_meter(state, key, limit, replace(meter, rearm_us=0, rearmed=()), now_us)
    return meter.rearmed


def find_refill(state: State, key: MeterKey, limit: Limit, amount: int, now_us: int) -> int | None:
    """Return when time alone makes room for an amount, if nothing else happens; None where it never does."""
    meter = read_meter(state, key, limit, now_us)
    room = limit.amount - meter.committed - amount
    return None if room < 0 else _find_decline(state, key, limit, meter, room, now_us)


def _find_decline(state: State, key: MeterKey, limit: Limit, meter: Meter, amount: int, now_us: int) -> int | None:
    """Return when time alone leaves no more than an amount in the window; None where it never does."""
    if limit.window.kind == "total":
        return None
    for steps, used in enumerate(list_declines(state, key, limit, meter), 1):
        if used <= amount:
            return limit.window.find_end(now_us, steps)
    raise AssertionError("an empty window holds no more than any amount")


def list_declines(state: State, key: MeterKey, limit: Limit, meter: Meter) -> Iterator[int]:
    """Yield what is left of the spend in a window as time alone passes it, bucket after bucket, to nothing."""
    used = meter.used
    for bucket in range(meter.bucket + 1 - limit.window.span, meter.bucket + 1):
        used -= read_bucket(state, key, bucket)[0]
        yield used


def load_meter(state: State, key: MeterKey) -> Meter:
    """Return a meter as it stands: its clock does not move."""
    row = state.get((NAME, METER, *key))
    return Meter() if row is None else row if type(row) is Meter else msgspec.convert(row, Meter)


def _write_meter(state: State, key: MeterKey, limit: Limit, meter: Meter, now_us: int) -> Meter:
    """Write a meter, due when time alone would arm one of its thresholds again, and at once where it did. More spend
    only delays that."""
    due_us = None
    if meter.rearmed:  # an event that fell due before moved the clock
        due_us = now_us
        meter = replace(meter, rearm_us=now_us)
    elif meter.fired:
        due_us = meter.rearm_us
        if due_us <= now_us:
            level = max((threshold * limit.amount * REARM_PERMILLE - 1) // 100_000 for threshold in meter.fired)
            due_us = _find_decline(state, key, limit, meter, level, now_us)
            meter = replace(meter, rearm_us=due_us or 0)
    state.put((NAME, METER, *key), meter, due_us)
    return meter


def read_bucket(state: State, key: MeterKey, bucket: int) -> tuple[int, int]:
    row = state.get((NAME, BUCKET, *key, bucket))
    return (0, 0) if row is None else (row[0], row[1])


def _find_greatest_window(state: State, key: MeterKey, limit: Limit, bucket: int, meter: Meter) -> int:
    """Return the greatest sum of the windows that hold a bucket and have ended, as far as buckets reach back."""
    span = limit.window.span
    first, last = max(bucket, meter.bucket - span), min(bucket + span, meter.bucket) - 1
    if first > last:
        return 0
    used = greatest = sum(read_bucket(state, key, step)[0] for step in range(first - span + 1, first + 1))
    for step in range(first + 1, last + 1):
        used += read_bucket(state, key, step)[0] - read_bucket(state, key, step - span)[0]
        greatest = max(greatest, used)
    return greatest


def _find_reached(limit: Limit, used: int) -> tuple[int, ...]:
    return tuple(threshold for threshold in limit.crossable_thresholds if used * 100 >= threshold * limit.amount)


def _find_crossed(limit: Limit, used: int, fired: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(threshold for threshold in _find_reached(limit, used) if threshold not in fired)


def _is_below_rearm_level(limit: Limit, used: int, threshold: int) -> bool:
    return used * 100_000 < threshold * limit.amount * REARM_PERMILLE
