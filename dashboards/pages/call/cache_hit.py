"""A call that a gateway's cache answered (docs/rules.md, R12): its tokens, which nobody bills, and where it is from."""

from typing import Any, NamedTuple

from dashboards.sources.warehouse import Row


class CacheHit(NamedTuple):
    """The id of the call whose answer was used again, and the tokens of that answer; None where the event has none."""

    cached_from: str | None
    tokens: int | None


def read_cache_hit(call: Row, data: dict[str, Any]) -> CacheHit | None:
    """Read the cache hit of a call from its event's data; None where no cache answered."""
    cached_from, response_cache = data.get("cached_from"), data.get("response_cache")
    is_hit = response_cache == "hit" or (bool(cached_from) and response_cache != "miss")
    if call["pricing"] != "free" or not is_hit:
        return None
    return CacheHit(str(cached_from) if cached_from else None, _count_tokens(data))


def _count_tokens(data: dict[str, Any]) -> int | None:
    """Count the tokens by class, else those of the totals that the source reports."""
    tokens = _read_counts(data.get("tokens"))
    if tokens:
        return sum(tokens.values())
    totals = _read_counts(data.get("reported_tokens"))
    if not totals:
        return None
    return max(totals.get("total", 0), totals.get("input", 0) + totals.get("output", 0))


def _read_counts(counts: Any) -> dict[str, int]:
    if not isinstance(counts, dict):
        return {}
    return {name: number for name, number in counts.items() if type(number) is int}
