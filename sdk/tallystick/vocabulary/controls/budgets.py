"""Control records about budgets."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from tallystick.vocabulary.base import Amount, Currency, Model, Name

Dimension = Literal[
    "organization", "team", "project", "feature", "environment", "user", "customer", "key", "agent", "session"
]
WINDOW_STEP = 60


class BudgetAllocated(Model):
    """A limit of spend for one scope over a rolling window. The same scope and window again changes it."""

    dimension: Dimension
    scope: Name
    limit: Amount
    currency: Currency
    window_s: Annotated[int, Field(ge=60, le=31 * 86400, multiple_of=WINDOW_STEP)] = Field(
        description="length of the rolling window in seconds, whole minutes from one minute to 31 days"
    )

    @field_validator("limit")
    @classmethod
    def _above_zero(cls, limit: Amount) -> Amount:
        if limit <= 0:
            raise ValueError("must be above zero")
        return limit
