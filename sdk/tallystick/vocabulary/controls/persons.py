"""Control types of persons."""

from typing import ClassVar

from pydantic import ConfigDict

from tallystick.vocabulary.controls.body import ControlBody
from tallystick.vocabulary.protection import Person


class SubjectErased(ControlBody):
    """The home forgot the name of this person. The pseudonym stays on the log, and nothing says whose it is."""

    control_type: ClassVar[str] = "subject.erased"
    command: ClassVar[str | None] = "tally subject erase"
    model_config = ConfigDict(json_schema_extra={"examples": [{"subject": "ann"}]})

    subject: Person
