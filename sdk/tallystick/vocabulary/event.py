"""An event: a CloudEvent 1.0 whose type names the model of its data."""

from typing import Annotated, Literal, get_args

from pydantic import Field, StringConstraints, TypeAdapter

from tallystick.vocabulary.base import Identifier, IdentifierCheck, Model, Time
from tallystick.vocabulary.controls.control import Control
from tallystick.vocabulary.correction import Correction
from tallystick.vocabulary.inference import Inference
from tallystick.vocabulary.observation import Observation
from tallystick.vocabulary.request import Admission, Lease

SCHEMA_VERSION = "1"

Source = Annotated[str, StringConstraints(min_length=1, max_length=512), IdentifierCheck]


class Tick(Model):
    """A tick: time has passed, something is due, and no other event arrived."""


class CloudEvent(Model):
    """The envelope of an event. Source and id are its identity; time is that of the source's clock."""

    specversion: Literal["1.0"] = "1.0"
    id: Identifier
    source: Source
    time: Time
    sequence: Annotated[int, Field(ge=0, lt=2**63)] | None = Field(
        default=None, description="the source's own count of its events, to find what never arrived"
    )


class InferenceEvent(CloudEvent):
    type: Literal["tallystick.inference.v1"] = "tallystick.inference.v1"
    data: Inference


class ObservationEvent(CloudEvent):
    type: Literal["tallystick.observation.v1"] = "tallystick.observation.v1"
    data: Observation


class CorrectionEvent(CloudEvent):
    type: Literal["tallystick.correction.v1"] = "tallystick.correction.v1"
    data: Correction


class ControlEvent(CloudEvent):
    type: Literal["tallystick.control.v1"] = "tallystick.control.v1"
    data: Control


class AdmissionEvent(CloudEvent):
    type: Literal["tallystick.admission.v1"] = "tallystick.admission.v1"
    data: Admission


class LeaseEvent(CloudEvent):
    type: Literal["tallystick.lease.v1"] = "tallystick.lease.v1"
    data: Lease


class TickEvent(CloudEvent):
    type: Literal["tallystick.tick.v1"] = "tallystick.tick.v1"
    data: Tick = Tick()


Event = InferenceEvent | ObservationEvent | CorrectionEvent | ControlEvent | AdmissionEvent | LeaseEvent | TickEvent
_ByType = Annotated[
    InferenceEvent | ObservationEvent | CorrectionEvent | ControlEvent | AdmissionEvent | LeaseEvent | TickEvent,
    Field(discriminator="type"),
]
ANY_EVENT: TypeAdapter[Event] = TypeAdapter(_ByType)
"""Validates and describes every event: ``ANY_EVENT.validate_json(line)``, ``ANY_EVENT.json_schema()``."""

DATA_MODELS: dict[str, type[Model]] = {
    member.model_fields["type"].default.split(".")[1]: member.model_fields["data"].annotation
    for member in get_args(Event)
}
"""The model of an event's data, by kind: inference, observation, correction, control, admission, lease,
tick."""
