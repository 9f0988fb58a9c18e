"""The form of a usage block: how it is recognized and read (pure)."""

from collections.abc import Callable
from typing import NamedTuple

from tallystick.usage.base import Block, Context, Usage
from tallystick.usage.block import CountBlock


class Form(NamedTuple):
    """A form of usage: its name in the registry, how its blocks are recognized, and its reader."""

    name: str
    is_form: Callable[[Block, Context], bool]
    read: Callable[[CountBlock, Context], Usage]
