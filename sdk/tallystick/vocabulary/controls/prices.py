"""Control types of prices."""

from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from tallystick.vocabulary.base import DocumentHash, Label, Time
from tallystick.vocabulary.controls.body import ControlBody


class PriceBookAdopted(ControlBody):
    """From here on events are priced by this document, under the name it carries."""

    control_type: ClassVar[str] = "price_book.adopted"
    command: ClassVar[str | None] = "tally price adopt"
    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "list-prices", "document": "0" * 64}]})

    name: Label
    document: DocumentHash


MAX_RESTATED_RECORDS = 1_000
"""The longest range of one restatement. What it changes is one record of ``tally.entries``."""

Offset = Annotated[int, Field(ge=0, le=10**15)]


class PriceRestated(ControlBody):
    """Rate the calls of a range of this partition again, by the prices in force here. Scope and times narrow it."""

    control_type: ClassVar[str] = "price.restated"
    command: ClassVar[str | None] = "tally price restate"
    model_config = ConfigDict(json_schema_extra={"examples": [{"first_offset": 0, "end_offset": 120}]})

    first_offset: Offset = Field(description="offset of the first record whose calls are rated again")
    end_offset: Offset = Field(
        description=f"offset behind the last one: at most {MAX_RESTATED_RECORDS:,} more, and before this record"
    )
    provider: Label | None = Field(default=None, description="calls of this provider alone")
    model: Label | None = Field(default=None, description="calls of this model alone, as asked for or as it answered")
    since: Time | None = Field(default=None, description="calls of this time and later alone")
    until: Time | None = Field(default=None, description="calls before this time alone")
