"""The form of a usage block: how it is recognized and read (pure)."""

from collections.abc import Callable
from typing import NamedTuple

from tallystick.usage.base import Block, Context, Usage
from tallystick.usage.block import CountBlock


class Form(NamedTuple):
    """A form of usage: its name in the registry, how its blocks are recognized, its reader, and names of which each of
    its blocks has one (empty: those of any name are asked)."""

    name: str
    is_form: Callable[[Block, Context], bool]
    read: Callable[[CountBlock, Context], Usage]
    names: frozenset[str] = frozenset()


def find_form(forms: tuple[Form, ...], block: Block, context: Context) -> Form | None:
    """Return the first of these forms that a block has; None where it has none of them."""
    is_dict = type(block) is dict  # another mapping may know a name by another spelling
    for form in forms:
        if is_dict and form.names and form.names.isdisjoint(block):
            continue
        if form.is_form(block, context):
            return form
    return None
