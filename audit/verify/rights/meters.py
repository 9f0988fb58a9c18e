"""Meters: what a limit of a grant counts, by the bucket of each call (docs/rules.md, R18.4 and R18.5)."""

import msgspec

from audit.verify.rights.limits import Limit
from audit.verify.rights.windows import sum_windows


class Meter(msgspec.Struct):
    """The amounts and the calls of unknown cost of each bucket, as far as two windows reach back; what is reserved or
    leased; and the thresholds that are not armed, in the order in which they were crossed."""

    clock: int | None = None  # the bucket in which its window ends
    amounts: dict[int, int] = {}
    unknown_calls: dict[int, int] = {}
    committed: int = 0
    crossed_thresholds: list[int] = []
    is_due: bool = False  # time may arm a threshold again, and the agenda has the moment

    def read_used(self, limit: Limit) -> int:
        """Return what the window holds that ends now."""
        assert self.clock is not None, "it was moved to now"
        return sum(map(self._read_amount, range(self.clock - limit.window.span + 1, self.clock + 1)))

    def count_unknown(self, limit: Limit) -> int:
        """Return the calls of unknown cost in the window that ends now."""
        assert self.clock is not None, "it was moved to now"
        buckets = range(self.clock - limit.window.span + 1, self.clock + 1)
        return sum(self.unknown_calls.get(bucket, 0) for bucket in buckets) if self.unknown_calls else 0

    def read_total(self, limit: Limit) -> int:
        """Return what is used, reserved and leased."""
        return self.read_used(limit) + self.committed

    def move(self, limit: Limit, now_us: int) -> list[int]:
        """Move the clock to now, and return the thresholds that time has armed again on the way."""
        bucket, span = limit.window.find_bucket(now_us), limit.window.span
        if self.clock is None or bucket <= self.clock:
            self.clock = bucket if self.clock is None else self.clock
            return []
        former = self.crossed_thresholds
        if former:
            last_bucket = min(bucket, self.clock + span)
            for _, amount in sum_windows(self._read_amount, span, self.clock + 1, last_bucket):
                self._arm(limit, amount)
        self.clock = bucket
        for counts in (self.amounts, self.unknown_calls):
            for old_bucket in [old_bucket for old_bucket in counts if old_bucket <= bucket - 2 * span]:
                del counts[old_bucket]
        return [threshold for threshold in former if threshold not in self.crossed_thresholds]

    def add(self, limit: Limit, bucket: int, amount: int, unknown_calls: int) -> tuple[list[int], int, bool] | None:
        """Count an amount, and return the thresholds that it crosses with the window's sum, and whether only a window
        that has ended has crossed them; None where it crosses none."""
        assert self.clock is not None, "it was moved to now"
        span = limit.window.span
        if bucket <= self.clock - 2 * span:
            return None
        self.amounts[bucket] = self._read_amount(bucket) + amount
        if unknown_calls:
            self.unknown_calls[bucket] = self.unknown_calls.get(bucket, 0) + unknown_calls
        if thresholds := self.cross(limit):
            return thresholds, self.read_used(limit), False
        first_bucket, last_bucket = max(bucket, self.clock - span), min(bucket + span, self.clock) - 1
        if amount <= 0 or first_bucket > last_bucket:
            return None
        used = max(used for _, used in sum_windows(self._read_amount, span, first_bucket, last_bucket))
        thresholds = [
            threshold
            for threshold in limit.told_percents
            if (used - amount) * 100 < threshold * limit.amount <= used * 100
            and threshold not in self.crossed_thresholds
        ]
        return (thresholds, used, True) if thresholds else None

    def take_back(self, bucket: int, amount: int, unknown_calls: int) -> None:
        """Take what was counted out of its bucket, while the meter has that."""
        if bucket in self.amounts:
            self.amounts[bucket] -= amount
        if unknown_calls and bucket in self.unknown_calls:
            self.unknown_calls[bucket] -= unknown_calls

    def cross(self, limit: Limit) -> list[int]:
        """Cross the thresholds that the window reaches which ends now, and return those that were armed."""
        used = self.read_used(limit)
        thresholds = [
            threshold
            for threshold in limit.told_percents
            if used * 100 >= threshold * limit.amount and threshold not in self.crossed_thresholds
        ]
        self.crossed_thresholds = self.crossed_thresholds + thresholds
        return thresholds

    def change(self, limit: Limit) -> list[int]:
        """Judge the window by a limit that is new or was changed; return the thresholds that it crosses."""
        used = self.read_used(limit)
        self.crossed_thresholds = [
            percent for percent in self.crossed_thresholds if percent * limit.amount <= used * 100
        ]
        return self.cross(limit)

    def list_declines(self, limit: Limit) -> list[int]:
        """List what is used after each of the buckets to come, if nothing more is spent, until the window is empty."""
        assert self.clock is not None, "it was moved to now"
        used, declines = self.read_used(limit), []
        for bucket in range(self.clock - limit.window.span + 1, self.clock + 1):
            used -= self._read_amount(bucket)
            declines.append(used)
        return declines

    def _arm(self, limit: Limit, used: int) -> None:
        """Arm the thresholds again of which a window is below nine tenths."""
        self.crossed_thresholds = [
            threshold for threshold in self.crossed_thresholds if used * 1000 >= threshold * limit.amount * 9
        ]

    def _read_amount(self, bucket: int) -> int:
        return self.amounts.get(bucket, 0)
