"""Tallystick: what an application can say about its inferences, and the client that brings it to the ledger."""

from tallystick.client import Client
from tallystick.control import BudgetAllocated, Control, PriceBookAdopted
from tallystick.correction import Correction
from tallystick.event import (
    ANY_EVENT,
    ControlEvent,
    CorrectionEvent,
    Event,
    InferenceEvent,
    ObservationEvent,
    TickEvent,
)
from tallystick.inference import Inference, QuantityClass, TokenClass
from tallystick.observation import Observation, Target

__all__ = [
    "ANY_EVENT",
    "BudgetAllocated",
    "Client",
    "Control",
    "ControlEvent",
    "Correction",
    "CorrectionEvent",
    "Event",
    "Inference",
    "InferenceEvent",
    "Observation",
    "ObservationEvent",
    "PriceBookAdopted",
    "QuantityClass",
    "Target",
    "TickEvent",
    "TokenClass",
]
