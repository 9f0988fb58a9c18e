"""Control types of prices."""

from typing import ClassVar

from pydantic import ConfigDict

from tallystick.vocabulary.base import DocumentHash, Label
from tallystick.vocabulary.controls.body import ControlBody


class PriceBookAdopted(ControlBody):
    """From here on events are priced by this document, under the name it carries."""

    control_type: ClassVar[str] = "price_book.adopted"
    command: ClassVar[str | None] = "tally price adopt"
    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "list-prices", "document": "0" * 64}]})

    name: Label
    document: DocumentHash
