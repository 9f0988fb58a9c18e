"""Control types of alerts."""

from typing import ClassVar

from pydantic import ConfigDict

from tallystick.vocabulary.base import DocumentHash, Label
from tallystick.vocabulary.controls.body import ControlBody


class RulesAdopted(ControlBody):
    """Adopt a document of detector rules, under a name. The document stands on the log first. What comes after it is
    judged by it; rule R20."""

    control_type: ClassVar[str] = "rules.adopted"
    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "runaways", "document": "0" * 64}]})

    name: Label
    document: DocumentHash
