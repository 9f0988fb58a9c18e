"""Control records about the log itself."""

from typing import Annotated

from pydantic import Field

from tallystick.vocabulary.base import Model


class LogClosed(Model):
    """The last record of each partition of a log that went elsewhere, where it goes on."""

    moved_to: Annotated[str, Field(min_length=1, max_length=1024)] = Field(description="without user and password")


class GenerationActivated(Model):
    """All that is derived was derived anew from the log, verified, and answers from here on."""

    generation: Annotated[int, Field(ge=2, le=10**6)] = Field(description="the first one is 1, and nobody said so")
    folds_version: Annotated[int, Field(ge=1, le=10**6)] = Field(description="of what the folds mean that made it")
