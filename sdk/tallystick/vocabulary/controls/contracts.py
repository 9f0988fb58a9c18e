"""Control types of contracts with providers."""

from typing import ClassVar

from pydantic import ConfigDict

from tallystick.vocabulary.base import DocumentHash, Label
from tallystick.vocabulary.controls.body import ControlBody


class ContractSigned(ControlBody):
    """From here on the organization's calls cost what this contract says, under the name it carries."""

    control_type: ClassVar[str] = "contract.signed"
    command: ClassVar[str | None] = "tally contract sign"
    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "acme-2026", "document": "0" * 64}]})

    name: Label
    document: DocumentHash


class ContractEnded(ControlBody):
    """From here on the organization's calls no longer cost what this contract says."""

    control_type: ClassVar[str] = "contract.ended"
    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "acme-2026"}]})

    name: Label
