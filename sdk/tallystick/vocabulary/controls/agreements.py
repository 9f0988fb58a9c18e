"""Control types of agreements with providers."""

from typing import ClassVar

from pydantic import ConfigDict, Field

from tallystick.vocabulary.base import Ids, Label
from tallystick.vocabulary.controls.body import ControlBody


class AgreementDeclared(ControlBody):
    """An agreement as it is from the effective time on: all of it, in place of what was declared of it before."""

    control_type: ClassVar[str] = "agreement.declared"
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"agreement": "MSA-7", "provider": "anthropic", "regions": ["eu"], "data_classes": ["internal"]},
            ]
        }
    )

    agreement: Label = Field(description="its name or number")
    provider: Label
    regions: Ids | None = Field(default=None, description="regions that it allows; any where absent")
    data_classes: Ids | None = Field(default=None, description="data classes that it allows; any where absent")


class AgreementEnded(ControlBody):
    """From the effective time on an agreement is not there."""

    control_type: ClassVar[str] = "agreement.ended"
    model_config = ConfigDict(json_schema_extra={"examples": [{"agreement": "MSA-7"}]})

    agreement: Label
