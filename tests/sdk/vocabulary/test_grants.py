"""Records of grants and requests that cannot be, with the way out of each."""

from typing import Any

import pytest

from tallystick import Admission, Lease
from tallystick.vocabulary.controls.grants import GrantCreated, GrantDelegated, GrantLimit, GrantNarrowed

GRANT: dict[str, Any] = {"grant": "g", "dimension": "team", "scope": "search"}
TOKENS = {"meter": "tokens", "amount": 5}


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        ({"meter": "billed", "amount": 1}, "needs a currency"),
        ({"meter": "tokens", "amount": 1, "currency": "USD"}, "has no currency"),
        ({"meter": "calls", "amount": "1.5"}, "is a whole number"),
        ({"meter": "calls", "amount": 1, "at_limit": "downgrade"}, "downgrade_to goes with"),
        ({"meter": "calls", "amount": 1, "downgrade_to": "m"}, "downgrade_to goes with"),
        ({"meter": "calls", "amount": 0}, "greater than 0"),
        ({"meter": "calls", "amount": 1, "thresholds": [101]}, "less than or equal to 100"),
    ],
)
def test_a_limit_that_cannot_be_says_why(limit: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        GrantLimit.model_validate(limit)


def test_a_grant_has_each_limit_once_and_its_delegation_a_parent() -> None:
    with pytest.raises(ValueError, match="two limits have the same meter"):
        GrantCreated.model_validate(GRANT | {"limits": [TOKENS, TOKENS | {"amount": 6}]})
    GrantCreated.model_validate(GRANT | {"limits": [TOKENS, TOKENS | {"window": {"rolling_s": 60}}]})
    with pytest.raises(ValueError, match="name it as parent"):
        GrantDelegated.model_validate(GRANT)
    with pytest.raises(ValueError, match="leave them out, or until"):
        GrantNarrowed.model_validate_json(b'{"grant":"g","delegable":false,"until":"2026-06-01T00:00:00Z"}')


def test_a_release_and_a_return_name_what_they_end_and_nothing_else() -> None:
    for data in ({"action": "release"}, {"admission": "a"}, {"action": "release", "admission": "a", "team": "t"}):
        with pytest.raises(ValueError, match=r"give both, or none|names its admission"):
            Admission.model_validate(data)
    Admission.model_validate({"action": "release", "admission": "a"})
    for lease in ({"action": "return"}, {"lease": "l"}, {"action": "return", "lease": "l", "team": "t"}):
        with pytest.raises(ValueError, match=r"give both, or none|names its lease"):
            Lease.model_validate(lease)
    with pytest.raises(ValueError, match="tokens is 0"):
        Lease.model_validate({"tokens": 0})
    Lease.model_validate({"action": "return", "lease": "l", "tokens": 0})
    with pytest.raises(ValueError, match="currency goes with"):
        Lease.model_validate({"billed": "1"})
