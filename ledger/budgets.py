"""The sentence that says why a budget counts nothing."""

from collections.abc import Iterable


def describe_uncounted(currency: str, currencies: Iterable[str]) -> str:
    """Describe that no price or contract in force is in a budget's currency; ``currencies`` are those that have one."""
    return (
        f"no price and no contract in force is in {currency}, so no spend counts: set the limit in "
        f"{' or '.join(sorted(currencies))}, or adopt prices in {currency}"
    )
