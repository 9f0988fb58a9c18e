"""Control types of budgets."""

from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from tallystick.vocabulary.base import Currency, PositiveAmount
from tallystick.vocabulary.controls.body import ControlBody
from tallystick.vocabulary.scope import Dimension, Scope

WINDOW_STEP_S = 60
UnknownUsage = Literal["tokens_only", "assume_greatest", "deny"]
DEFAULT_UNKNOWN_USAGE = "tokens_only"
WindowLength = Annotated[
    int,
    Field(
        ge=60,
        le=31 * 86400,
        multiple_of=WINDOW_STEP_S,
        description="length of the rolling window in seconds, whole minutes from one minute to 31 days",
    ),
]


class BudgetAllocated(ControlBody):
    """A limit of spend for one scope over a rolling window. The same scope and window again changes it."""

    control_type: ClassVar[str] = "budget.allocated"
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"dimension": "team", "scope": "search", "limit": "100", "currency": "USD", "window_s": 3600}]
        }
    )

    dimension: Dimension
    scope: Scope
    limit: PositiveAmount
    currency: Currency
    window_s: WindowLength
    unknown_usage: UnknownUsage | None = Field(
        default=None,
        description="worth of calls whose spend is not known. tokens_only (the default): nothing, and they are counted "
        "beside the spend; assume_greatest: the most that they may cost; deny: a decision and an alert as soon as one "
        "lies in the window",
    )


class BudgetRemoved(ControlBody):
    """The end of a budget: what it counted is dropped, and its limit crosses nothing any more. Allocated again, it
    begins anew."""

    control_type: ClassVar[str] = "budget.removed"
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"dimension": "team", "scope": "search", "window_s": 3600}]}
    )

    dimension: Dimension
    scope: Scope
    window_s: WindowLength
