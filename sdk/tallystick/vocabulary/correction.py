"""``correction``: a reversal or a replacement of a named event, with the reason."""

from typing import Literal

from pydantic import Field, model_validator

from tallystick.vocabulary.base import Model, Text
from tallystick.vocabulary.inference import Inference
from tallystick.vocabulary.observation import Target


class Correction(Model):
    """Reverses an event, or replaces it by the inference as it should have been. The original stays."""

    action: Literal["reversal", "replacement"]
    of: Target = Field(description="the identity of the event that is corrected")
    reason: Text
    replacement: Inference | None = None

    @model_validator(mode="after")
    def _check_replacement(self) -> "Correction":
        if (self.action == "replacement") != (self.replacement is not None):
            raise ValueError("a replacement, and only a replacement, carries the field 'replacement'")
        return self
