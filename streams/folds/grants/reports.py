"""Reports: what a limit holds, as the decision ``grant.metered`` (docs/rules.md, R18.8), so that tables have it without
judging again.

A limit is reported at once where it was not for 15 seconds, else as soon as they have passed. So a busy one makes four
lines a minute however many calls it counts, and a partition in which little arrives gets no tick for each call.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from streams.folds.emit import Emit
from streams.folds.grants.limits import Limit, write_amount
from streams.folds.grants.meters import NAME, MeterKey, load_meter, read_bucket
from streams.folds.grants.tree import list_limits, load_grant
from streams.folds.grants.windows import BUCKETS
from streams.folds.state import Key, State

REPORT = "report"
INTERVAL_US = 15_000_000


class Bucket(NamedTuple):
    """A bucket of a window: when it begins, and when no window holds it any more; None where that never is."""

    bucket: int
    starts_us: int | None
    ends_us: int | None


class Report(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """When a limit was reported last, and what has changed since: whether anything, and these buckets."""

    reported_us: int
    is_pending: bool = False
    buckets: tuple[Bucket, ...] = ()


class MeterChange(NamedTuple):
    """A limit of which something was used, reserved or leased, or given back; of what is used, the bucket and a time
    in it."""

    grant: str
    limit_key: str
    bucket: int | None = None
    time_us: int = 0


def report_changes(
    organization: str, changes: Iterable[MeterChange], state: State, emit: Emit, *, is_urgent: bool = False
) -> None:
    """Report the limits that have changed, at once, or 15 seconds after the last time."""
    merged: dict[MeterKey, list[MeterChange]] = {}
    for change in changes:
        merged.setdefault(MeterKey(organization, change.grant, change.limit_key), []).append(change)
    for key, parts in merged.items():
        former = _load_report(state, key)
        known_buckets = () if former is None else tuple(bucket.bucket for bucket in former.buckets)
        times = {
            part.bucket: part.time_us for part in parts if part.bucket is not None and part.bucket not in known_buckets
        }
        is_due = former is None or is_urgent or emit.now_us >= former.reported_us + INTERVAL_US
        if former is not None and former.is_pending and not times and not is_due:
            continue
        limit = _find_limit(key, state, emit.now_us)
        if limit is None:  # of a narrowing that ended
            continue
        buckets = [_read_bounds(limit, bucket, time_us) for bucket, time_us in times.items()]
        report = former or Report(0)
        report = replace(report, is_pending=True, buckets=(*report.buckets, *buckets))
        if is_due:
            _tell(key, limit, report.buckets, state, emit)
        else:
            state.put((NAME, REPORT, *key), report, report.reported_us + INTERVAL_US)


def report_grant(organization: str, name: str, state: State, emit: Emit) -> None:
    """Report all that the limits of a grant hold."""
    grant = load_grant(state, organization, name)
    assert grant is not None, "its record was applied"
    for limit in list_limits(grant, emit.now_us):
        window, key = limit.window, MeterKey(organization, name, limit.key)
        last = window.find_bucket(emit.now_us)
        times = {last: emit.now_us}
        if window.kind == "rolling":
            times = {step: -(-step * window.length_us // BUCKETS) for step in range(last - BUCKETS, last + 1)}
        held_steps = [step for step in times if read_bucket(state, key, step) != (0, 0)]
        _tell(key, limit, [_read_bounds(limit, step, times[step]) for step in held_steps], state, emit)


def report_due(key: Key, state: State, emit: Emit) -> None:
    """Report a limit that changed within 15 seconds of its last report."""
    meter_key = MeterKey(*map(str, key[2:]))
    limit, report = _find_limit(meter_key, state, emit.now_us), _load_report(state, meter_key)
    assert report is not None, "it fell due"
    if limit is None:  # of a narrowing that ended
        state.put(key, Report(report.reported_us))
        return
    _tell(meter_key, limit, report.buckets, state, emit)


def _tell(key: MeterKey, limit: Limit, buckets: Iterable[Bucket], state: State, emit: Emit) -> None:
    meter = load_meter(state, key)
    body = {
        "grant": key.grant,
        "limit": key.limit_key,
        "reserved": write_amount(limit.meter, meter.reserved),
        "leased": write_amount(limit.meter, meter.leased),
        "crossed": sorted(meter.fired),
        "buckets": [_describe_bucket(key, limit, bucket, state) for bucket in buckets],
    }
    emit.decision(key.organization, "grant.metered", body=msgspec.json.encode(body).decode())
    state.put((NAME, REPORT, *key), Report(emit.now_us))


def _describe_bucket(key: MeterKey, limit: Limit, bucket: Bucket, state: State) -> dict[str, Any]:
    amount, unknown_calls = read_bucket(state, key, bucket.bucket)
    return {**bucket._asdict(), "used": write_amount(limit.meter, amount), "unknown_calls": unknown_calls}


def _read_bounds(limit: Limit, bucket: int, time_us: int) -> Bucket:
    window = limit.window
    return Bucket(bucket, window.find_start(time_us), window.find_end(time_us, window.span))


def _load_report(state: State, key: MeterKey) -> Report | None:
    row = state.get((NAME, REPORT, *key))
    return row if row is None or type(row) is Report else msgspec.convert(row, Report)


def _find_limit(key: MeterKey, state: State, now_us: int) -> Limit | None:
    grant = load_grant(state, key.organization, key.grant)
    limits = () if grant is None else list_limits(grant, now_us)
    return next((limit for limit in limits if limit.key == key.limit_key), None)
