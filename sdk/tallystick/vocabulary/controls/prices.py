"""Control records about prices."""

from typing import Annotated

from pydantic import Field

from tallystick.vocabulary.base import Label, Model


class PriceBookAdopted(Model):
    """From here on events are priced by this document, under the name it carries."""

    name: Label
    document: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] = Field(description="SHA-256 of the document")
