"""Room for bodies under way: a share for each token, so that one cannot block the others. Pure."""

from enum import Enum


class Shortage(Enum):
    """The reason why a token gets no more room now."""

    SHARE = "this token has its share of bytes under way"
    TOTAL = "all tokens together fill the room for bytes under way"


class Room:
    """Counts bytes under way, as they arrive. Each token may always hold ``floor`` bytes; what it holds beyond comes
    out of ``total``, which all share, and of which one token gets ``share`` at most.

    So bytes under way stay below ``total`` and a floor for each token that sends.
    """

    def __init__(self, total: int, share: int, floor: int) -> None:
        self._total = total
        self._share = share
        self._floor = floor
        self._bytes_by_token: dict[str, int] = {}
        self._beyond_floors = 0

    @property
    def total_bytes(self) -> int:
        """Bytes under way of all tokens."""
        return sum(self._bytes_by_token.values())

    def take(self, token: str, count: int) -> Shortage | None:
        """Count more bytes of a token, or return why there is no room for them."""
        bytes_before = self._bytes_by_token.get(token, 0)
        beyond = self._beyond(bytes_before + count)
        growth = beyond - self._beyond(bytes_before)
        if beyond > self._share:
            return Shortage.SHARE
        if growth and self._beyond_floors + growth > self._total:
            return Shortage.TOTAL
        self._bytes_by_token[token] = bytes_before + count
        self._beyond_floors += growth
        return None

    def give_back(self, token: str, count: int) -> None:
        """Release bytes of a token."""
        bytes_before = self._bytes_by_token.pop(token, 0)
        if bytes_after := bytes_before - count:
            self._bytes_by_token[token] = bytes_after
        self._beyond_floors -= self._beyond(bytes_before) - self._beyond(bytes_after)

    def _beyond(self, count: int) -> int:
        return max(0, count - self._floor)


def compute_timeout_s(received: int, *, grace_s: float, min_bytes_per_s: int, max_s: float) -> float:
    """Return the seconds that a body may take in all, given the bytes that have arrived: the grace, more at the minimum
    rate, and at most ``max_s``."""
    return min(max_s, grace_s + received / min_bytes_per_s)
