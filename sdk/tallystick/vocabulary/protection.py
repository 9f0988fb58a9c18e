"""Types of fields whose values the log never shows: persons, keys, and hashes that could be guessed.

The intake finds these fields by their types (``ingest/intake/protected_fields.py``), so a new field needs no more than
its type.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any

from pydantic import BaseModel, Field

from tallystick.vocabulary.base import Name


class Protection(Enum):
    """The kind of value that stands on the log in place of what was sent."""

    PERSON = "a keyed pseudonym, whose name the home's table of persons keeps until it is erased"
    GUESSABLE = "a keyed pseudonym, whose original nothing keeps"
    KEY = "a fingerprint"


@dataclass(frozen=True, eq=False)  # a part of a type has to be hashable
class ProtectedBy:
    """The protection of a field whose meaning another field of the same object gives."""

    field: str
    protections: Mapping[str, Protection]


@dataclass(frozen=True, eq=False)
class TypedBy:
    """The models of a field whose type another field of the same object names."""

    field: str
    models: Mapping[str, type[BaseModel]]

    def model(self, siblings: Mapping[str, Any]) -> type[BaseModel] | None:
        """Return the model that the sibling field names; None where it names none."""
        name = siblings.get(self.field)
        return self.models.get(name) if isinstance(name, str) else None


Person = Annotated[Name, Protection.PERSON]
"""The name of a person or an end customer: a keyed pseudonym on the log. Erasing the person forgets the name."""

Persons = Annotated[tuple[Person, ...], Field(max_length=64, strict=False)]

KeyName = Annotated[Name, Protection.KEY]
"""The name of a provider's key: a fingerprint on the log."""

GuessableHash = Annotated[Name, Protection.GUESSABLE]
"""A hash of little content, which could be found by trying: hashed again on the log, with the organization's key."""
