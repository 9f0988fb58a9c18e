"""Restatements and billing periods, recomputed on their own (docs/rules.md, R14 and R15)."""

from datetime import datetime
from typing import Any

from audit.verify.pricing import Rated
from ledger.organizations import PLATFORM
from tallystick.vocabulary.controls.prices import MAX_RESTATED_RECORDS, PriceRestated


def read_restatement(body: dict[str, Any], organization: str, offset: int) -> PriceRestated | None:
    """Read the body of a counted restatement; None where it has no effect."""
    restatement = PriceRestated.model_validate(body, strict=False)
    length = restatement.end_offset - restatement.first_offset
    is_possible = 0 < length <= MAX_RESTATED_RECORDS and restatement.end_offset <= offset
    return restatement if is_possible and organization == PLATFORM else None


def is_reached(restatement: PriceRestated, data: dict[str, Any], time: datetime) -> bool:
    """Tell whether a restatement reaches the entry of a call."""
    if restatement.since is not None and time < restatement.since:
        return False
    if restatement.until is not None and restatement.until <= time:
        return False
    if restatement.provider is not None and restatement.provider.lower() != data.get("provider", "").lower():
        return False
    names = [data[field].lower() for field in ("model", "model_resolved") if field in data]
    return restatement.model is None or restatement.model.lower() in names


def has_other_costs(former: Rated, restated: Rated) -> bool:
    """Tell whether a call costs something else, or is known otherwise. Names of price and contract do not count."""
    return _drop_names(former) != _drop_names(restated)


def _drop_names(rated: Rated) -> Rated:
    return rated._replace(document=None, price_id=None, contract_id=None, seller=None, model=None)


class Periods:
    """The last closed month of each organization of a partition."""

    def __init__(self) -> None:
        self._closed: dict[str, tuple[int, int]] = {}

    def dump_state(self) -> dict[str, tuple[int, int]]:
        return self._closed

    def load_state(self, state: dict[str, list[int]]) -> None:
        self._closed = {organization: (year, month) for organization, (year, month) in state.items()}

    def close(self, organization: str, month: str, now: datetime) -> None:
        """Close a month, unless it goes on or is closed already."""
        year_and_month = int(month[:4]), int(month[5:])
        if max(year_and_month, self._closed.get(organization, (0, 0))) < (now.year, now.month):
            self._closed[organization] = max(year_and_month, self._closed.get(organization, (0, 0)))

    def find_billing_month(self, organization: str, time: datetime) -> str | None:
        """Return the month in which an entry is billed, where that is not the month of its time."""
        year, month = self._closed.get(organization, (0, 0))
        if (time.year, time.month) > (year, month):
            return None
        return f"{year + 1}-01" if month == 12 else f"{year}-{month + 1:02}"
