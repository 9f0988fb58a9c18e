"""Tallystick: the vocabulary of events about model calls, and the client that sends them to the ledger."""

from tallystick.client.admission import NotAdmitted
from tallystick.client.client import Client
from tallystick.vocabulary.controls.control import Control
from tallystick.vocabulary.correction import Correction
from tallystick.vocabulary.event import (
    ANY_EVENT,
    AdmissionEvent,
    ControlEvent,
    CorrectionEvent,
    Event,
    InferenceEvent,
    LeaseEvent,
    ObservationEvent,
    TickEvent,
)
from tallystick.vocabulary.inference import Inference, QuantityClass, TokenClass
from tallystick.vocabulary.observation import Observation, Target
from tallystick.vocabulary.request import Admission, Lease

__all__ = [
    "ANY_EVENT",
    "Admission",
    "AdmissionEvent",
    "Client",
    "Control",
    "ControlEvent",
    "Correction",
    "CorrectionEvent",
    "Event",
    "Inference",
    "InferenceEvent",
    "Lease",
    "LeaseEvent",
    "NotAdmitted",
    "Observation",
    "ObservationEvent",
    "QuantityClass",
    "Target",
    "TickEvent",
    "TokenClass",
]
