"""Control types of the log itself."""

from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from tallystick.vocabulary.controls.body import ControlBody


class LogClosed(ControlBody):
    """The log goes on elsewhere. This is the last record of each of its partitions."""

    control_type: ClassVar[str] = "log.closed"
    command: ClassVar[str | None] = "tally log copy"
    model_config = ConfigDict(json_schema_extra={"examples": [{"moved_to": "kafka://broker:9092"}]})

    moved_to: Annotated[str, Field(min_length=1, max_length=1024)] = Field(description="without user and password")


class GenerationActivated(ControlBody):
    """All that is derived was derived anew from the log, verified, and answers from here on."""

    control_type: ClassVar[str] = "generation.activated"
    command: ClassVar[str | None] = "tally rebuild"
    model_config = ConfigDict(json_schema_extra={"examples": [{"generation": 2, "folds_version": 3}]})

    generation: Annotated[int, Field(ge=2, le=10**6)] = Field(description="the first is 1, and has no record")
    folds_version: Annotated[int, Field(ge=1, le=10**6)] = Field(description="version of the folds that derived it")
