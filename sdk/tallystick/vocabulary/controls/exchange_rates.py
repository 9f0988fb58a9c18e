"""Control types of exchange rates."""

from typing import ClassVar

from pydantic import ConfigDict, Field

from tallystick.vocabulary.base import Currency, PositiveAmount
from tallystick.vocabulary.controls.body import ControlBody


class ExchangeRateSet(ControlBody):
    """From the effective time on a unit of a currency is worth so much of another. Without a rate, that is unknown."""

    control_type: ClassVar[str] = "exchange_rate.set"
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"base_currency": "EUR", "quote_currency": "USD", "rate": "1.08"}]}
    )

    base_currency: Currency = Field(description="currency of which one unit is priced")
    quote_currency: Currency = Field(description="currency of the rate")
    rate: PositiveAmount | None = Field(default=None, description="units of the quote currency, at most 12 decimals")
