"""Control types of billing periods."""

from typing import Annotated, ClassVar

from pydantic import ConfigDict, StringConstraints

from tallystick.vocabulary.controls.body import ControlBody

Month = Annotated[str, StringConstraints(pattern=r"^2[01][0-9]{2}-(0[1-9]|1[0-2])$")]
"""A month of UTC, for example 2026-10."""


class PeriodClosed(ControlBody):
    """Close a month of the organization, and all months before it: what changes them is billed in the first open month.

    A month that has not ended by the log's time, or is closed already, is answered as a decision without effect.
    """

    control_type: ClassVar[str] = "period.closed"
    model_config = ConfigDict(json_schema_extra={"examples": [{"month": "2026-10"}]})

    month: Month
