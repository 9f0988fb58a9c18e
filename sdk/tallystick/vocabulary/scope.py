"""The scope of a decision: whose calls it concerns."""

from typing import Annotated, Literal

from tallystick.vocabulary.base import Name
from tallystick.vocabulary.protection import ProtectedBy, Protection

Dimension = Literal[
    "organization", "team", "project", "feature", "environment", "user", "customer", "key", "agent", "session"
]

Scope = Annotated[
    Name,
    ProtectedBy("dimension", {"user": Protection.PERSON, "customer": Protection.PERSON, "key": Protection.KEY}),
]
"""The team, user or key that the field ``dimension`` of the same object speaks of."""
