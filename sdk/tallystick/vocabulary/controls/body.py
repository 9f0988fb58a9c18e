"""The base of control types. A module of this folder is a family; a type is one model in it."""

from typing import ClassVar

from tallystick.vocabulary.base import Model


class ControlBody(Model):
    """The fields of one type of decision.

    A subclass names its type in ``control_type`` and is registered by that alone. ``command`` is set where a record is
    not enough for the decision: the command that makes it and does the rest. Every other type can be sent as an event.
    """

    control_type: ClassVar[str]
    command: ClassVar[str | None] = None
