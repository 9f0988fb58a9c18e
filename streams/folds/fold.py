"""The interface of a fold: what it does with an entry, with decisions of people, and when something falls due."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from streams.folds.emit import Emit
from streams.folds.entry import Documents, Entry, EntryChange
from streams.folds.event import Event
from streams.folds.state import Key, State

OnEntry = Callable[[Event, Entry, State, Emit], None]
OnControl = Callable[[Event, State, Documents, Emit], None]
OnRequest = Callable[[Event, State, Documents, Emit], None]
OnCorrection = Callable[[EntryChange, State, Emit], None]
OnDue = Callable[[Key, int, State, Emit], None]


class Fold(NamedTuple):
    """A fold. Its state has keys that begin with its name; a handler that is absent does nothing.

    ``on_correction`` gets entries that are taken back, and added in their place; a fold without it sees neither.
    ``on_quarantined`` gets the entry of an inference whose totals contradict its classes: no costs, but their bound.
    ``on_control`` is by the type of the control record, ``on_request`` by the kind of the request.
    ``on_due`` gets a key of its state and the time (in microseconds) at which that key fell due.
    """

    name: str
    on_entry: OnEntry | None = None
    on_control: Mapping[str, OnControl] = {}
    on_request: Mapping[str, OnRequest] = {}
    on_correction: OnCorrection | None = None
    on_due: OnDue | None = None
    on_quarantined: OnEntry | None = None
