"""Names of admissions from a lease, which the calls repeat in ``admission``: ``LEASE/NUMBER/AMOUNTS``.

The amounts are what the holder took off the lease for the call, for example ``calls=1,tokens=1700``; money in 10^-12 of
the lease's currency. So the ledger can give back what the call does not use, without having been asked.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

_AMOUNT = r"(?:billed|notional|tokens|calls)=[0-9]{1,26}"
_NAME = re.compile(rf"(.+)/([0-9]{{1,18}})/({_AMOUNT}(?:,{_AMOUNT})*)", re.DOTALL)


class LeasedName(NamedTuple):
    """An admission from a lease: its number there, and the amounts taken for it, by measure."""

    lease: str
    number: int
    amounts: Mapping[str, int]


def write_leased_name(lease: str, number: int, amounts: Mapping[str, int]) -> str:
    """Write the name of an admission from a lease."""
    return f"{lease}/{number}/{','.join([f'{measure}={amount}' for measure, amount in amounts.items()])}"


def read_leased_name(admission: str) -> LeasedName | None:
    """Read the name of an admission; None where it is none from a lease."""
    match = _NAME.fullmatch(admission)
    if match is None:
        return None
    amounts = [amount.split("=") for amount in match[3].split(",")]
    return LeasedName(match[1], int(match[2]), {measure: int(amount) for measure, amount in amounts})
