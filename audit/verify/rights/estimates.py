"""Estimates: what calls like an ask cost of the most that they could (docs/rules.md, R19.7)."""

from audit.verify.rights.limits import Amounts
from audit.verify.rights.organization_rights import Basis, History, OrganizationRights

MIN_SHARES, MAX_SHARES = 20, 100
WHOLE_PPM = 1_000_000
DAY_US = 86_400_000_000
FORGOTTEN_AFTER_DAYS = 30


def estimate_amounts(
    rights: OrganizationRights, grant: str, model: str, greatest: Amounts, quantile_ppm: int
) -> tuple[Amounts, int]:
    """Return what a call costs at a quantile of its grant's calls of a model, and their number."""
    shares = _load_history(rights, grant, model).shares
    count = len(shares)
    if count < MIN_SHARES:
        return greatest, count
    rank = min(count, -(-quantile_ppm * (count + 1) // WHOLE_PPM))
    billed, notional, tokens = (sorted(column)[rank - 1] for column in zip(*shares, strict=True))
    return greatest._replace(
        billed=_take_share(greatest.billed, billed),
        notional=_take_share(greatest.notional, notional),
        tokens=_take_share(greatest.tokens, tokens),
    ), count


def add_share(rights: OrganizationRights, basis: Basis, amounts: Amounts, now_us: int) -> None:
    """Add what an admitted call cost to the histories of its grants."""
    is_comparable = amounts.currency in (None, basis.currency)
    is_listed = is_comparable and not amounts.is_unknown
    is_billed = is_listed or (is_comparable and amounts.is_customer_paid)
    shares = (
        _find_share(amounts.billed if is_billed else None, basis.billed),
        _find_share(amounts.notional if is_listed else None, basis.notional),
        _find_share(amounts.tokens, basis.tokens),
    )
    for grant in basis.grants:
        history = _load_history(rights, grant, basis.model)
        history.shares = [*history.shares, shares][-MAX_SHARES:]
        history.forgotten_us = (now_us // DAY_US + FORGOTTEN_AFTER_DAYS + 1) * DAY_US


def _load_history(rights: OrganizationRights, grant: str, model: str) -> History:
    """Return the history of a grant and a model: empty where its time has passed."""
    history = rights.histories.setdefault(grant, {}).setdefault(model, History())
    if history.forgotten_us <= rights.passed_us:
        history.shares = []
    return history


def _find_share(amount: int | None, greatest_amount: int | None) -> int:
    """Return what part of the greatest an amount is; the whole where either is not known."""
    if amount is None or greatest_amount is None:
        return WHOLE_PPM
    if amount <= 0:
        return 0
    return min(WHOLE_PPM, -(-amount * WHOLE_PPM // greatest_amount)) if greatest_amount else WHOLE_PPM


def _take_share(greatest_amount: int | None, share_ppm: int) -> int | None:
    return None if greatest_amount is None else -(-greatest_amount * share_ppm // WHOLE_PPM)
