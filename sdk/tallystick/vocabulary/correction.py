"""``correction``: what becomes of a named event after all, with the reason."""

from typing import Literal

from pydantic import Field, model_validator

from tallystick.vocabulary.base import Model, Text
from tallystick.vocabulary.conversion import MAX_COUNT
from tallystick.vocabulary.inference import Inference
from tallystick.vocabulary.observation import Target


class LinePosition(Model):
    """The position of a line on the log, in the partition of its organization."""

    offset: int = Field(ge=0, le=MAX_COUNT)
    event_index: int = Field(ge=0, le=MAX_COUNT, description="the line within the record, counted from 0")


class Correction(Model):
    """Reverses an event, replaces it by the inference as it should have been, counts one that is quarantined or held
    (release), or puts a line that is in conflict with it in its place (acceptance). The original stays."""

    action: Literal["reversal", "replacement", "release", "acceptance"]
    of: Target = Field(description="the identity of the event that is corrected")
    reason: Text
    replacement: Inference | None = None
    accepted: LinePosition | None = Field(default=None, description="of an acceptance, the line that is in conflict")

    @model_validator(mode="after")
    def _check_replacement(self) -> "Correction":
        if (self.action == "replacement") != (self.replacement is not None):
            raise ValueError("a replacement, and only a replacement, carries the field 'replacement'")
        if (self.action == "acceptance") != (self.accepted is not None):
            raise ValueError("an acceptance, and only an acceptance, carries the field 'accepted'")
        return self
